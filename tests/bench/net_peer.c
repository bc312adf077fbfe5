/*
 * The far end of the bench's network measures, on the host: bench/net_peer PORT. A connection begins with one
 * byte, which says what becomes of the rest: 't' is to be taken, and one byte answers its end; 'f' is
 * answered with bytes until the other end hangs up; 'r' is sent back, a byte at a time.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[1 << 16];

static void serve(int fd) {
	char what, byte;
	if (read(fd, &what, 1) != 1) {
		return;
	}
	if (what == 't') {
		while (read(fd, buffer, sizeof(buffer)) > 0) {
		}
		if (write(fd, "", 1) != 1) {
			return;
		}
	}
	while (what == 'f' && write(fd, buffer, sizeof(buffer)) > 0) {
	}
	while (what == 'r' && read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1) {
	}
}

int main(int argc, char **argv) {
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	at.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0));
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	signal(SIGPIPE, SIG_IGN);
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 8) < 0) {
		return 1;
	}
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		serve(fd);
		close(fd);
	}
}
