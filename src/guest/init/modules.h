/* Modules of a kernel that is not ph's own. */
#ifndef PH_GUEST_INIT_MODULES_H
#define PH_GUEST_INIT_MODULES_H

/* Load modules/0, modules/1 and so on of the initramfs, if ph put any there. */
void modules_load(void);

#endif
