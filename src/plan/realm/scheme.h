/* The base16 colour schemes that terminal-scheme may name. */
#ifndef PLAN_REALM_SCHEME_H
#define PLAN_REALM_SCHEME_H

/* The control sequences that give a terminal the scheme's colours: malloc'ed; NULL for an unknown scheme, or
 * without memory. */
char *scheme_palette(const char *name);
/* Those of the script that Citadel writes of a scheme; NULL when the text is none, or without memory. */
char *scheme_palette_of_script(const char *script);

#endif
