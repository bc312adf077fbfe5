/*
 * Colour schemes: sixteen colours each, base00 to base0F of base16 (github.com/tinted-theming/home), which
 * their authors gave away, with Citadel's names and colours. Of the others Citadel leaves a script in the
 * realm's home. ph's first thread; the script is the realm's and hostile: only numbers are taken from it.
 */
#include "plan/realm/scheme.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLORS 16
#define SEQUENCE_MAX 32 /* of one colour */

static const struct scheme {
	const char *name;
	uint32_t colors[COLORS];
} schemes[] = {
	{"ashes", {0x1c2023, 0x393f45, 0x565e65, 0x747c84, 0xadb3ba, 0xc7ccd1, 0xdfe2e5, 0xf3f4f5, 0xc7ae95,
			  0xc7c795, 0xaec795, 0x95c7ae, 0x95aec7, 0xae95c7, 0xc795ae, 0xc79595}},
	{"chalk", {0x151515, 0x202020, 0x303030, 0x505050, 0xb0b0b0, 0xd0d0d0, 0xe0e0e0, 0xf5f5f5, 0xfb9fb1,
			  0xeda987, 0xddb26f, 0xacc267, 0x12cfc0, 0x6fc2ef, 0xe1a3ee, 0xdeaf8f}},
	{"default-dark",
		{0x181818, 0x282828, 0x383838, 0x585858, 0xb8b8b8, 0xd8d8d8, 0xe8e8e8, 0xf8f8f8, 0xab4642,
			0xdc9656, 0xf7ca88, 0xa1b56c, 0x86c1b9, 0x7cafc2, 0xba8baf, 0xa16946}},
	{"default-light",
		{0xf8f8f8, 0xe8e8e8, 0xd8d8d8, 0xb8b8b8, 0x585858, 0x383838, 0x282828, 0x181818, 0xab4642,
			0xdc9656, 0xf7ca88, 0xa1b56c, 0x86c1b9, 0x7cafc2, 0xba8baf, 0xa16946}},
	{"dracula", {0x282936, 0x3a3c4e, 0x4d4f68, 0x626483, 0x62d6e8, 0xe9e9f4, 0xf1f2f8, 0xf7f7fb, 0xea51b2,
			    0xb45bcf, 0x00f769, 0xebff87, 0xa1efe4, 0x62d6e8, 0xb45bcf, 0x00f769}},
	{"eighties", {0x2d2d2d, 0x393939, 0x515151, 0x747369, 0xa09f93, 0xd3d0c8, 0xe8e6df, 0xf2f0ec,
			     0xf2777a, 0xf99157, 0xffcc66, 0x99cc99, 0x66cccc, 0x6699cc, 0xcc99cc, 0xd27b53}},
	{"embers", {0x16130f, 0x2c2620, 0x433b32, 0x5a5047, 0x8a8075, 0xa39a90, 0xbeb6ae, 0xdbd6d1, 0x826d57,
			   0x828257, 0x6d8257, 0x57826d, 0x576d82, 0x6d5782, 0x82576d, 0x825757}},
	{"google-dark",
		{0x1d1f21, 0x282a2e, 0x373b41, 0x969896, 0xb4b7b4, 0xc5c8c6, 0xe0e0e0, 0xffffff, 0xcc342b,
			0xf96a38, 0xfba922, 0x198844, 0x3971ed, 0x3971ed, 0xa36ac7, 0x3971ed}},
	{"gruvbox-dark-medium",
		{0x282828, 0x3c3836, 0x504945, 0x665c54, 0xbdae93, 0xd5c4a1, 0xebdbb2, 0xfbf1c7, 0xfb4934,
			0xfe8019, 0xfabd2f, 0xb8bb26, 0x8ec07c, 0x83a598, 0xd3869b, 0xd65d0e}},
	{"gruvbox-light-medium",
		{0xfbf1c7, 0xebdbb2, 0xd5c4a1, 0xbdae93, 0x665c54, 0x504945, 0x3c3836, 0x282828, 0x9d0006,
			0xaf3a03, 0xb57614, 0x79740e, 0x427b58, 0x076678, 0x8f3f71, 0xd65d0e}},
	{"material", {0x263238, 0x2e3c43, 0x314549, 0x546e7a, 0xb2ccd6, 0xeeffff, 0xeeffff, 0xffffff,
			     0xf07178, 0xf78c6c, 0xffcb6b, 0xc3e88d, 0x89ddff, 0x82aaff, 0xc792ea, 0xff5370}},
	{"mocha", {0x3b3228, 0x534636, 0x645240, 0x7e705a, 0xb8afad, 0xd0c8c6, 0xe9e1dd, 0xf5eeeb, 0xcb6077,
			  0xd28b71, 0xf4bc87, 0xbeb55b, 0x7bbda4, 0x8ab3b5, 0xa89bb9, 0xbb9584}},
	{"monokai", {0x272822, 0x383830, 0x49483e, 0x75715e, 0xa59f85, 0xf8f8f2, 0xf5f4f1, 0xf9f8f5, 0xf92672,
			    0xfd971f, 0xf4bf75, 0xa6e22e, 0xa1efe4, 0x66d9ef, 0xae81ff, 0xcc6633}},
	{"nord", {0x2e3440, 0x3b4252, 0x434c5e, 0x4c566a, 0xd8dee9, 0xe5e9f0, 0xeceff4, 0x8fbcbb, 0x88c0d0,
			 0x81a1c1, 0x5e81ac, 0xbf616a, 0xd08770, 0xebcb8b, 0xa3be8c, 0xb48ead}},
	{"ocean", {0x2b303b, 0x343d46, 0x4f5b66, 0x65737e, 0xa7adba, 0xc0c5ce, 0xdfe1e8, 0xeff1f5, 0xbf616a,
			  0xd08770, 0xebcb8b, 0xa3be8c, 0x96b5b4, 0x8fa1b3, 0xb48ead, 0xab7967}},
	{"onedark", {0x282c34, 0x353b45, 0x3e4451, 0x545862, 0x565c64, 0xabb2bf, 0xb6bdca, 0xc8ccd4, 0xe06c75,
			    0xd19a66, 0xe5c07b, 0x98c379, 0x56b6c2, 0x61afef, 0xc678dd, 0xbe5046}},
	{"railscasts",
		{0x2b2b2b, 0x272935, 0x3a4055, 0x5a647e, 0xd4cfc9, 0xe6e1dc, 0xf4f1ed, 0xf9f7f3, 0xda4939,
			0xcc7833, 0xffc66d, 0xa5c261, 0x519f50, 0x6d9cbe, 0xb6b3eb, 0xbc9458}},
	{"solarized-dark",
		{0x002b36, 0x073642, 0x586e75, 0x657b83, 0x839496, 0x93a1a1, 0xeee8d5, 0xfdf6e3, 0xdc322f,
			0xcb4b16, 0xb58900, 0x859900, 0x2aa198, 0x268bd2, 0x6c71c4, 0xd33682}},
	{"solarized-light",
		{0xfdf6e3, 0xeee8d5, 0x93a1a1, 0x839496, 0x657b83, 0x586e75, 0x073642, 0x002b36, 0xdc322f,
			0xcb4b16, 0xb58900, 0x859900, 0x2aa198, 0x268bd2, 0x6c71c4, 0xd33682}},
	{"tomorrow", {0xffffff, 0xe0e0e0, 0xd6d6d6, 0x8e908c, 0x969896, 0x4d4d4c, 0x282a2e, 0x1d1f21,
			     0xc82829, 0xf5871f, 0xeab700, 0x718c00, 0x3e999f, 0x4271ae, 0x8959a8, 0xa3685a}},
	{"tomorrow-night",
		{0x1d1f21, 0x282a2e, 0x373b41, 0x969896, 0xb4b7b4, 0xc5c8c6, 0xe0e0e0, 0xffffff, 0xcc6666,
			0xde935f, 0xf0c674, 0xb5bd68, 0x8abeb7, 0x81a2be, 0xb294bb, 0xa3685a}},
	{"twilight", {0x1e1e1e, 0x323537, 0x464b50, 0x5f5a60, 0x838184, 0xa7a7a7, 0xc3c3c3, 0xffffff,
			     0xcf6a4c, 0xcda869, 0xf9ee98, 0x8f9d6a, 0xafc4db, 0x7587a6, 0x9b859d, 0x9b703f}},
	{"zenburn", {0x383838, 0x404040, 0x606060, 0x6f6f6f, 0x808080, 0xdcdccc, 0xc0c0c0, 0xffffff, 0xdca3a3,
			    0xdfaf8f, 0xe0cf9f, 0x5f7f5f, 0x93e0e3, 0x7cb8bb, 0xdc8cc3, 0x000000}},
};

/* Which of the sixteen each of a terminal's first 22 colours is, as base16's shell script has it. */
static const uint8_t terminal_colors[] = {0x0, 0x8, 0xb, 0xa, 0xd, 0xe, 0xc, 0x5, 0x3, 0x8, 0xb, 0xa, 0xd,
	0xe, 0xc, 0x7, 0x9, 0xf, 0x1, 0x2, 0x4, 0x6};

#define TERMINAL_COLORS sizeof(terminal_colors)
#define FOREGROUND 0x5
#define BACKGROUND 0x0

/* A terminal's colours, the foreground and the background, as control sequences have them. */
struct palette {
	uint32_t colors[TERMINAL_COLORS], foreground, background;
};

static size_t add(char *text, const char *what, uint32_t color) {
	return (size_t)snprintf(text, SEQUENCE_MAX, "\033]%s;rgb:%02x/%02x/%02x\033\\", what,
		color >> 16 & 0xff, color >> 8 & 0xff, color & 0xff);
}

static char *print_palette(const struct palette *palette) {
	char *text = malloc((TERMINAL_COLORS + 2) * SEQUENCE_MAX);
	if (text == NULL) {
		return NULL;
	}
	size_t used = add(text, "10", palette->foreground);
	used += add(text + used, "11", palette->background);
	for (unsigned i = 0; i < TERMINAL_COLORS; i++) {
		char what[8];
		snprintf(what, sizeof(what), "4;%u", i);
		used += add(text + used, what, palette->colors[i]);
	}
	return text;
}

char *scheme_palette(const char *name) {
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (strcmp(schemes[i].name, name) != 0) {
			continue;
		}
		struct palette palette = {.foreground = schemes[i].colors[FOREGROUND],
			.background = schemes[i].colors[BACKGROUND]};
		for (unsigned color = 0; color < TERMINAL_COLORS; color++) {
			palette.colors[color] = schemes[i].colors[terminal_colors[color]];
		}
		return print_palette(&palette);
	}
	return NULL;
}

/* ---- Citadel's script ---- */

/* WORD NUMBER rr/gg/bb, and nothing else on the line. */
static bool parse_line(const char *line, size_t length, const char *word, unsigned *number, uint32_t *color) {
	char text[64], format[64];
	unsigned red, green, blue;
	int end = 0;
	if (length >= sizeof(text)) {
		return false;
	}
	memcpy(text, line, length);
	text[length] = '\0';
	snprintf(format, sizeof(format), "%s %%2u %%2x/%%2x/%%2x%%n", word);
	if (sscanf(text, format, number, &red, &green, &blue, &end) != 4 || (size_t)end != length) {
		return false;
	}
	*color = red << 16 | green << 8 | blue;
	return true;
}

char *scheme_palette_of_script(const char *script) {
	struct palette palette = {0};
	uint32_t seen = 0, all = (1u << (TERMINAL_COLORS + 2)) - 1;
	for (const char *line = script; *line != '\0';) {
		size_t length = strcspn(line, "\n");
		unsigned number;
		uint32_t color;
		if (parse_line(line, length, "put_template", &number, &color) && number < TERMINAL_COLORS) {
			palette.colors[number] = color;
			seen |= 1u << number;
		} else if (parse_line(line, length, "put_template_var", &number, &color) &&
			   (number == 10 || number == 11)) {
			*(number == 10 ? &palette.foreground : &palette.background) = color;
			seen |= 1u << (TERMINAL_COLORS + number - 10);
		}
		line += length + (line[length] == '\n');
	}
	return seen == all ? print_palette(&palette) : NULL;
}
