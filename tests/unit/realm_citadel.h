/* A Citadel for unit tests: PH_CITADEL names it meanwhile. Its images are made of one letter and sealed only
 * as far as ph itself looks. */
#ifndef TESTS_UNIT_REALM_CITADEL_H
#define TESTS_UNIT_REALM_CITADEL_H

#define CITADEL_BLOCK 4096
#define CITADEL_BLOCKS 64

struct citadel {
	char top[32];
	char images[80]; /* /realms/realmfs-images */
};

/* Realms main and other with homes of user 1000's, or of who runs the test, and the image main of letter a.
 */
int citadel_make(struct citadel *citadel);
void citadel_remove(struct citadel *citadel);
/* A file in /realms. */
void citadel_write(const struct citadel *citadel, const char *name, const char *text);
/* An image whose root hash and blocks are all made of that letter. */
void citadel_make_image(const char *path, char letter);

#endif
