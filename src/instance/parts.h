/* What the parts of src/instance share. */
#ifndef INSTANCE_PARTS_H
#define INSTANCE_PARTS_H

#include "ph/instance.h"

/* A VM's folder holds these and nothing else. */
#define INSTANCE_LOCK "lock"
#define INSTANCE_SOCKET "socket"
#define INSTANCE_FACTS "vm"

/* The folder of all VMs. A descriptor; -ENOENT, when it is not to be made; or -errno with *error set. */
int instance_open_base(bool make, struct error *error);
/* A VM's folder: a descriptor; or -errno, with *error set where it is not the VM's own. */
int instance_open_folder(const char *name, struct error *error);
/* The process that runs the VM of this name, whether it answers or not: a pidfd, -ESRCH or -errno. */
int instance_open_monitor(const char *name);
/* The lock in a folder, without waiting (LOCK_EX or LOCK_SH): a descriptor, -EBUSY or -errno. */
int instance_lock(int folder, int operation);

/* Remove the place; by who has its lock: nobody can take it meanwhile, and who comes later makes a new one.
 */
void instance_clear(int base, int folder, const char *name);

#endif
