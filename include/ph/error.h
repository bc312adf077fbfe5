/*
 * An error on its way to the one place that tells the user.
 *
 * Functions return a negative errno. Where the caller cannot know which object failed or what
 * helps, the function also fills a struct error with the one line the user shall read: the
 * object, the cause and the remedy, without "ph:" in front and without a newline.
 */
#ifndef PH_ERROR_H
#define PH_ERROR_H

struct error {
	char message[512]; /* empty: no error was set */
};

/* Set the message (printf style; the first message wins) and return code, which is a negative errno. */
int error_set(struct error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
