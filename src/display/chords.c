/*
 * Which keys paste, by the compositor's own keymap. Runs on the display's loop, but for the loading of the
 * library, which is before the process is confined. Keymaps come from the compositor.
 *
 * libxkbcommon is loaded, not linked: a host without a desktop has none, and ph runs there all the same.
 * Connections of one VM have the same keymap nearly always, so it is kept.
 */
#include "display/filter_parts.h"

#include "ph/fd.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <xkbcommon/xkbcommon-keysyms.h>
#include <xkbcommon/xkbcommon.h>

#define KEYMAP_MAX (1u << 20)
#define EVDEV_OFFSET 8 /* from the compositor's key codes to XKB's */

struct library {
	void *handle;
	struct xkb_context *(*context_new)(enum xkb_context_flags);
	void (*context_unref)(struct xkb_context *);
	struct xkb_keymap *(*keymap_new_from_buffer)(struct xkb_context *, const char *, size_t,
		enum xkb_keymap_format, enum xkb_keymap_compile_flags);
	void (*keymap_unref)(struct xkb_keymap *);
	struct xkb_state *(*state_new)(struct xkb_keymap *);
	void (*state_unref)(struct xkb_state *);
	enum xkb_state_component (*state_update_mask)(struct xkb_state *, xkb_mod_mask_t, xkb_mod_mask_t,
		xkb_mod_mask_t, xkb_layout_index_t, xkb_layout_index_t, xkb_layout_index_t);
	int (*state_mod_name_is_active)(struct xkb_state *, const char *, enum xkb_state_component);
	xkb_layout_index_t (*keymap_num_layouts_for_key)(struct xkb_keymap *, xkb_keycode_t);
	int (*keymap_key_get_syms_by_level)(struct xkb_keymap *, xkb_keycode_t, xkb_layout_index_t,
		xkb_level_index_t, const xkb_keysym_t **);
};

struct chords {
	struct library xkb;
	struct xkb_context *context;
	struct xkb_keymap *keymap; /* the latest */
	char *text;                /* which it was made of */
	size_t size;
};

struct chord_keyboard {
	struct xkb_keymap *keymap; /* its state has a hold on it */
	struct xkb_state *state;
};

/* ---- the library ---- */

static bool load(struct library *xkb) {
	xkb->handle = dlopen("libxkbcommon.so.0", RTLD_NOW | RTLD_LOCAL);
	if (xkb->handle == NULL) {
		return false;
	}
	const struct {
		const char *name;
		void *function;
	} functions[] = {
		{"xkb_context_new", &xkb->context_new},
		{"xkb_context_unref", &xkb->context_unref},
		{"xkb_keymap_new_from_buffer", &xkb->keymap_new_from_buffer},
		{"xkb_keymap_unref", &xkb->keymap_unref},
		{"xkb_state_new", &xkb->state_new},
		{"xkb_state_unref", &xkb->state_unref},
		{"xkb_state_update_mask", &xkb->state_update_mask},
		{"xkb_state_mod_name_is_active", &xkb->state_mod_name_is_active},
		{"xkb_keymap_num_layouts_for_key", &xkb->keymap_num_layouts_for_key},
		{"xkb_keymap_key_get_syms_by_level", &xkb->keymap_key_get_syms_by_level},
	};
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *symbol = dlsym(xkb->handle, functions[i].name);
		if (symbol == NULL) {
			return false;
		}
		memcpy(functions[i].function, &symbol, sizeof(symbol));
	}
	return true;
}

struct chords *chords_create(void) {
	struct chords *chords = calloc(1, sizeof(*chords));
	if (chords != NULL && load(&chords->xkb)) {
		chords->context = chords->xkb.context_new(
			XKB_CONTEXT_NO_DEFAULT_INCLUDES | XKB_CONTEXT_NO_ENVIRONMENT_NAMES);
	}
	if (chords != NULL && chords->context == NULL) {
		chords_destroy(chords);
		return NULL;
	}
	return chords;
}

void chords_destroy(struct chords *chords) {
	if (chords == NULL) {
		return;
	}
	if (chords->keymap != NULL) {
		chords->xkb.keymap_unref(chords->keymap);
	}
	if (chords->context != NULL) {
		chords->xkb.context_unref(chords->context);
	}
	if (chords->xkb.handle != NULL) {
		dlclose(chords->xkb.handle);
	}
	free(chords->text);
	free(chords);
}

/* ---- keymaps ---- */

/* Remember the text, which becomes the cache's, and what it makes. */
static bool compile(struct chords *chords, char *text, size_t size) {
	size_t length = strnlen(text, size);
	struct xkb_keymap *keymap = chords->xkb.keymap_new_from_buffer(
		chords->context, text, length, XKB_KEYMAP_FORMAT_TEXT_V1, XKB_KEYMAP_COMPILE_NO_FLAGS);
	if (keymap == NULL) {
		return false;
	}
	if (chords->keymap != NULL) {
		chords->xkb.keymap_unref(chords->keymap);
	}
	free(chords->text);
	chords->keymap = keymap;
	chords->text = text;
	chords->size = size;
	return true;
}

/* Read, not mapped: the file may be shorter than it is said to be. */
static bool have_keymap(struct chords *chords, int fd, uint32_t size) {
	char *text = size > 0 && size <= KEYMAP_MAX ? malloc(size) : NULL;
	if (text == NULL || fd_pread_all(fd, text, size, 0) < 0) {
		free(text);
		return false;
	}
	if (chords->keymap != NULL && chords->size == size && memcmp(chords->text, text, size) == 0) {
		free(text);
		return true;
	}
	bool done = compile(chords, text, size);
	if (!done) {
		free(text);
	}
	return done;
}

struct chord_keyboard *chords_add_keyboard(struct chords *chords, int fd, uint32_t size) {
	struct chord_keyboard *keyboard = calloc(1, sizeof(*keyboard));
	if (keyboard != NULL && have_keymap(chords, fd, size)) {
		keyboard->keymap = chords->keymap;
		keyboard->state = chords->xkb.state_new(chords->keymap);
	}
	if (keyboard != NULL && keyboard->state == NULL) {
		free(keyboard);
		return NULL;
	}
	return keyboard;
}

void chords_remove_keyboard(struct chords *chords, struct chord_keyboard *keyboard) {
	if (keyboard != NULL) {
		chords->xkb.state_unref(keyboard->state);
		free(keyboard);
	}
}

/* ---- keys ---- */

/* The arguments of wl_keyboard.modifiers. */
void chords_set_modifiers(
	struct chords *chords, struct chord_keyboard *keyboard, const union wire_arg *args) {
	chords->xkb.state_update_mask(keyboard->state, args[1].u, args[2].u, args[3].u, 0, 0, args[4].u);
}

static bool is_held(
	const struct chords *chords, const struct chord_keyboard *keyboard, const char *modifier) {
	return chords->xkb.state_mod_name_is_active(keyboard->state, modifier, XKB_STATE_MODS_EFFECTIVE) > 0;
}

/* In any of the key's layouts: programs take Ctrl and the key of a V for that under another script, too. */
static bool has_symbol(const struct chords *chords, const struct chord_keyboard *keyboard, uint32_t key,
	xkb_keysym_t symbol) {
	xkb_layout_index_t layouts = chords->xkb.keymap_num_layouts_for_key(keyboard->keymap, key);
	for (xkb_layout_index_t i = 0; i < layouts; i++) {
		const xkb_keysym_t *symbols;
		int count = chords->xkb.keymap_key_get_syms_by_level(keyboard->keymap, key, i, 0, &symbols);
		if (count == 1 && symbols[0] == symbol) {
			return true;
		}
	}
	return false;
}

enum chord chords_press(struct chords *chords, struct chord_keyboard *keyboard, uint32_t evdev_key) {
	uint32_t key = evdev_key + EVDEV_OFFSET;
	bool control = is_held(chords, keyboard, XKB_MOD_NAME_CTRL);
	bool other =
		is_held(chords, keyboard, XKB_MOD_NAME_ALT) || is_held(chords, keyboard, XKB_MOD_NAME_LOGO);
	if (control && !other && has_symbol(chords, keyboard, key, XKB_KEY_v)) {
		return CHORD_PASTE;
	}
	if (!control && !other && is_held(chords, keyboard, XKB_MOD_NAME_SHIFT) &&
		(has_symbol(chords, keyboard, key, XKB_KEY_Insert) ||
			has_symbol(chords, keyboard, key, XKB_KEY_KP_Insert))) {
		return CHORD_PASTE_ANY;
	}
	return has_symbol(chords, keyboard, key, XKB_KEY_XF86Paste) ? CHORD_PASTE : CHORD_NONE;
}
