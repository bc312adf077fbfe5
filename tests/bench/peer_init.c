/*
 * The least init that does for QEMU what ph's does for "ph -- true": the host's root over 9p, read-only under
 * a tmpfs, the usual mounts, one command, and the end. PID 1 of the bench's peer.
 */
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void run(void) {
	pid_t pid = fork();
	if (pid == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(127);
	}
	int status;
	waitpid(pid, &status, 0);
}

int main(void) {
	const char *options = "trans=virtio,version=9p2000.L,msize=512000,cache=loose,access=any";
	mkdir("/lower", 0755);
	mkdir("/over", 0755);
	mkdir("/root", 0755);
	if (mount("root", "/lower", "9p", MS_RDONLY, options) == 0 &&
		mount("over", "/over", "tmpfs", 0, NULL) == 0) {
		mkdir("/over/upper", 0755);
		mkdir("/over/work", 0755);
		mount("root", "/root", "overlay", 0,
			"lowerdir=/lower,upperdir=/over/upper,workdir=/over/work");
		if (chdir("/root") == 0 && chroot(".") == 0) {
			mount("proc", "/proc", "proc", 0, NULL);
			mount("sys", "/sys", "sysfs", 0, NULL);
			mount("dev", "/dev", "devtmpfs", 0, NULL);
			mount("run", "/run", "tmpfs", 0, NULL);
			mount("tmp", "/tmp", "tmpfs", 0, NULL);
			run();
		}
	}
	sync();
	reboot(RB_AUTOBOOT);
	return 0;
}
