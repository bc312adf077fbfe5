/*
 * Completions for shells, written from the table: a script each for bash, zsh and fish, which `make install`
 * puts where these look. ph's one thread; no input.
 */
#include "cli/table.h"

#include <stdio.h>
#include <string.h>

/* The names of the VMs that run: the first column of --list, behind its heading. */
#define RUNNING "ph --list 2>/dev/null | sed \"1d;s/ .*//\""

static bool has_choices(const struct option *option) {
	return option->argument != NULL && strchr(option->argument, '|') != NULL;
}

/* The words of "a|b|c" with blanks between them. */
static void print_choices(const struct option *option) {
	for (const char *p = option->argument; *p != '\0'; p++) {
		putchar(*p == '|' ? ' ' : *p);
	}
}

/* ---- bash ---- */

static void print_bash_value(const struct option *option) {
	if (option->argument == NULL || option->optional) {
		return;
	}
	printf("\t--%s)\n\t\t", option->name);
	if (has_choices(option)) {
		fputs("mapfile -t COMPREPLY < <(compgen -W '", stdout);
		print_choices(option);
		fputs("' -- \"$current\")", stdout);
	} else if (option->completion == COMPLETE_FILE) {
		fputs("mapfile -t COMPREPLY < <(compgen -f -- \"$current\") && compopt -o filenames", stdout);
	} else if (option->completion == COMPLETE_DIRECTORY) {
		fputs("mapfile -t COMPREPLY < <(compgen -d -- \"$current\") && compopt -o filenames", stdout);
	} else if (option->completion == COMPLETE_VM) {
		fputs("mapfile -t COMPREPLY < <(compgen -W \"$(" RUNNING ")\" -- \"$current\")", stdout);
	} else {
		fputs("COMPREPLY=()", stdout);
	}
	puts("\n\t\treturn\n\t\t;;");
}

static void print_bash(void) {
	puts("# ph's completions for bash, made by ph --completion bash\n"
	     "_ph() {\n"
	     "\tlocal current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} word equals=\n"
	     "\tfor ((word = 1; word < COMP_CWORD; word++)); do\n"
	     "\t\tif [[ ${COMP_WORDS[word]} == -- ]]; then\n"
	     "\t\t\tCOMP_WORDS=(\"${COMP_WORDS[@]:word + 1}\") COMP_CWORD=$((COMP_CWORD - word - 1))\n"
	     "\t\t\tif ((COMP_CWORD == 0)); then\n"
	     "\t\t\t\tmapfile -t COMPREPLY < <(compgen -c -- \"$current\")\n"
	     "\t\t\telse\n"
	     "\t\t\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$current\") && compopt -o filenames\n"
	     "\t\t\tfi\n"
	     "\t\t\treturn\n"
	     "\t\tfi\n"
	     "\tdone\n"
	     "\t# \"--option=value\" comes as three words.\n"
	     "\tif [[ $current == = ]]; then\n"
	     "\t\tcurrent='' equals=yes\n"
	     "\telif [[ $previous == = ]]; then\n"
	     "\t\tprevious=${COMP_WORDS[COMP_CWORD - 2]} equals=yes\n"
	     "\tfi\n"
	     "\tcase $previous in");
	for (size_t i = 0; i < cli_table_size; i++) {
		print_bash_value(&cli_table[i]);
	}
	fputs("\tesac\n\tCOMPREPLY=()\n\t[[ -n $equals ]] || mapfile -t COMPREPLY < <(compgen -W '", stdout);
	for (size_t i = 0; i < cli_table_size; i++) {
		printf("--%s ", cli_table[i].name);
	}
	puts("--' -- \"$current\")\n}\ncomplete -F _ph ph");
}

/* ---- zsh ---- */

/* Help in brackets and single quotes. */
static void print_quoted(const char *text, const char *escaped) {
	for (; *text != '\0'; text++) {
		if (*text == '\'') {
			fputs("'\\'", stdout);
		} else if (strchr(escaped, *text) != NULL) {
			putchar('\\');
		}
		putchar(*text);
	}
}

/* A colon would end them. */
static void print_zsh_choices(const struct option *option) {
	putchar('(');
	for (const char *p = option->argument; *p != '\0'; p++) {
		fputs(*p == ':' ? "\\" : "", stdout);
		putchar(*p == '|' ? ' ' : *p);
	}
	putchar(')');
}

static void print_zsh_value(const struct option *option) {
	printf("%s:", option->optional ? ":" : "");
	print_quoted(option->argument, "[]:");
	putchar(':');
	if (has_choices(option)) {
		print_zsh_choices(option);
	} else if (option->completion == COMPLETE_FILE) {
		fputs("_files", stdout);
	} else if (option->completion == COMPLETE_DIRECTORY) {
		fputs("_files -/", stdout);
	} else if (option->completion == COMPLETE_VM) {
		fputs("($(" RUNNING "))", stdout);
	}
}

static void print_zsh_option(const struct option *option, const char *prefix, const char *name) {
	bool value = option->argument != NULL;
	printf("\t'*%s%s%s[", prefix, name, !value ? "" : option->optional ? "=-" : "=");
	print_quoted(option->help, "[]:");
	putchar(']');
	if (value) {
		print_zsh_value(option);
	}
	puts("' \\");
}

static void print_zsh(void) {
	/* What is behind "--" is a command line of its own: _arguments would take its first word for ph's. */
	puts("#compdef ph\n# ph's completions for zsh, made by ph --completion zsh\n"
	     "local -i end=${words[(i)--]}\n"
	     "if ((end < CURRENT)); then\n"
	     "\tshift end words\n"
	     "\t((CURRENT -= end))\n"
	     "\t_normal\n"
	     "\treturn\n"
	     "fi\n"
	     "_arguments -S \\");
	for (size_t i = 0; i < cli_table_size; i++) {
		const char letter[2] = {cli_table[i].letter, '\0'};
		print_zsh_option(&cli_table[i], "--", cli_table[i].name);
		if (letter[0] != '\0') {
			print_zsh_option(&cli_table[i], "-", letter);
		}
	}
	puts("\t&& return");
}

/* ---- fish ---- */

static void print_fish_value(const struct option *option) {
	if (option->optional) {
		return;
	}
	fputs(" -r", stdout);
	if (has_choices(option)) {
		fputs(" -f -a '", stdout);
		print_choices(option);
		putchar('\'');
	} else if (option->completion == COMPLETE_FILE) {
		fputs(" -F", stdout);
	} else if (option->completion == COMPLETE_DIRECTORY) {
		fputs(" -f -a '(__fish_complete_directories)'", stdout);
	} else if (option->completion == COMPLETE_VM) {
		fputs(" -f -a '(" RUNNING ")'", stdout);
	} else {
		fputs(" -f", stdout);
	}
}

static void print_fish(void) {
	puts("# ph's completions for fish, made by ph --completion fish\n"
	     "function __ph_complete_command\n"
	     "\tset -l words (commandline -opc)\n"
	     "\tset -e words[1..(contains -i -- -- $words)]\n"
	     "\tcomplete -C (string join ' ' -- (string escape -- $words) (commandline -ct))\n"
	     "end\n"
	     "complete -c ph -f\n"
	     "complete -c ph -n 'contains -- -- (commandline -opc)' -x -a '(__ph_complete_command)'");
	for (size_t i = 0; i < cli_table_size; i++) {
		const struct option *option = &cli_table[i];
		printf("complete -c ph -n 'not contains -- -- (commandline -opc)' -l %s", option->name);
		if (option->letter != '\0') {
			printf(" -s %c", option->letter);
		}
		if (option->argument != NULL) {
			print_fish_value(option);
		}
		fputs(" -d '", stdout);
		for (const char *p = option->help; *p != '\0'; p++) {
			printf(*p == '\'' ? "\\%c" : "%c", *p);
		}
		puts("'");
	}
}

void cli_print_completion(const char *shell) {
	if (strcmp(shell, "bash") == 0) {
		print_bash();
	} else if (strcmp(shell, "zsh") == 0) {
		print_zsh();
	} else {
		print_fish();
	}
}
