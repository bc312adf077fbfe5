/*
 * What the host refuses to those who talk over sockets: virtio-wl, the network device, the sound filter, and
 * the places and messages of running VMs (see test_faults.c). A guest is always answered, whatever failed.
 */
#define FAULTS_OF_SOCKETS
#include "faults.h"

#include "driver.h"
#include "sound/connection.h"
#include "sound/tags.h"
#include "wl_fixture.h"

#include "ph/instance.h"
#include "ph/net.h"

#include <arpa/inet.h>
#include <linux/virtio_net.h>
#include <stdio.h>

/* ---- virtio-wl ---- */

static int create_display(struct error *error) {
	(void)error;
	struct virtio_device *device = NULL;
	const struct display_socket sockets[] = {{.filtered = true}, {.name = "x"}};
	const struct display_options options = {.sockets = sockets,
		.socket_count = 2,
		.connector = -1,
		.tag = "vm",
		.window_fd = -1,
		.window_size = 1 << 20};
	unsigned left = spare();
	struct display_options with_window = options;
	with_window.window_fd = eventfd(0, EFD_CLOEXEC);
	go_on(left);
	int ret = display_create(&device, &with_window);
	display_destroy(device);
	close(with_window.window_fd);
	return ret;
}

static void test_create_display(void **state) {
	(void)state;
	survive(create_display, 4);
}

static struct wl_fixture *wl;

/* A command served with faults: its answer, which always comes. */
static uint32_t command(const void *bytes, size_t size, size_t room, unsigned left, unsigned *rest) {
	uint32_t len, type = 0;
	gpa_t at = wl_submit(wl, bytes, size, room);
	go_on(left);
	wl_settle(wl);
	*rest = spare();
	assert_true(wl_answered(wl, &len));
	if (len >= sizeof(type)) {
		memcpy(&type, driver_at(&wl->driver, at), sizeof(type));
	}
	return type;
}

static const uint32_t kinds[] = {
	VIRTIO_WL_CMD_VFD_NEW, VIRTIO_WL_CMD_VFD_NEW_CTX, VIRTIO_WL_CMD_VFD_NEW_PIPE};

static bool is_new(uint32_t type) {
	return type == VIRTIO_WL_RESP_VFD_NEW;
}

/* It has arrived, or the connection was given up, which the guest is told. */
static void take_message(int server, bool with_vfd) {
	char seen[8];
	int fds[4];
	unsigned count = 0;
	ssize_t n = wl_server_receive(server, seen, sizeof(seen), fds, &count);
	if (n == 0 && plan_of_faults.happened) {
		return;
	}
	assert_int_equal(n, 8);
	assert_string_equal(seen, "message");
	assert_int_equal(count, with_vfd);
	for (unsigned i = 0; i < count; i++) {
		close(fds[i]);
	}
}

static int make_vfds(struct error *error) {
	(void)error;
	unsigned left = spare();
	int ret = 0;
	bool made[3];
	for (uint32_t i = 0; i < 3; i++) {
		const struct virtio_wl_vfd_new news = {.header.type = kinds[i],
			.vfd_id = i + 1,
			.flags = i == 2 ? VIRTIO_WL_VFD_WRITE : 0,
			.size = 4096};
		made[i] = is_new(command(&news, sizeof(news), sizeof(news), left, &left));
		ret = made[i] ? ret : -EIO;
	}
	int server = made[1] ? accept4(wl->listener, NULL, NULL, SOCK_CLOEXEC) : -1;
	uint8_t bytes[64];
	const uint32_t ids[] = {1};
	size_t size = wl_build_send(bytes, 2, ids, made[0] ? 1 : 0, "message", 8);
	uint32_t sent = server < 0 ? 0 : command(bytes, size, 8, left, &left);
	if (sent == VIRTIO_WL_RESP_OK) {
		take_message(server, made[0]);
	}
	ret = server >= 0 && sent != VIRTIO_WL_RESP_OK ? -EIO : ret;
	for (uint32_t i = 0; i < 3; i++) {
		const struct virtio_wl_vfd vfd = {.header.type = VIRTIO_WL_CMD_VFD_CLOSE, .vfd_id = i + 1};
		uint32_t closed = command(&vfd, sizeof(vfd), 8, left, &left);
		assert_true(!made[i] || closed == VIRTIO_WL_RESP_OK);
	}
	if (server >= 0) {
		close(server);
	}
	assert_false(wl->device->shared->needs_reset);
	/* What came for the guest meanwhile is of no interest, but room for more is. */
	while (driver_wait_used(&wl->driver, VIRTIO_WL_QUEUE_IN, 0, NULL, NULL)) {
		wl_post_buffers(wl, 1);
	}
	wl_settle(wl);
	go_on(left);
	return ret;
}

static void test_make_vfds(void **state) {
	(void)state;
	wl = wl_set_up(WL_ALL_FEATURES);
	survive(make_vfds, 8);
	wl_tear_down(wl);
}

/* ---- the network ---- */

struct net_ends {
	struct driver driver;
	struct virtio_device *device;
	int frames[2], links[2];
	gpa_t buffers[2];
};

#define FRAME_SIZE 60

static void net_open(struct net_ends *net) {
	driver_init(&net->driver);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, net->frames), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, net->links), 0);
	net->buffers[0] = driver_alloc(&net->driver, 4096);
	net->buffers[1] = driver_alloc(&net->driver, 4096);
}

static void net_close(struct net_ends *net) {
	driver_finish(&net->driver);
	close(net->frames[1]);
	close(net->links[1]);
}

static void net_run(struct net_ends *net, unsigned left, unsigned *rest) {
	struct epoll_event event;
	for (unsigned i = 0; i < 1000 && epoll_wait(net->driver.loop.epoll_fd, &event, 1, 0) == 1; i++) {
		struct loop_source *source = event.data.ptr;
		go_on(left);
		source->ready(source, event.events);
		left = spare();
	}
	*rest = left;
}

/* A frame each way. */
static void net_talk(struct net_ends *net, unsigned left, unsigned *rest) {
	uint8_t frame[4 + FRAME_SIZE] = {0, 0, 0, FRAME_SIZE}, back[4 + FRAME_SIZE];
	frame[16] = 0x08;
	frame[17] = 0x06;
	const struct driver_buffer in = {net->buffers[0], 4096, true};
	const struct driver_buffer out = {
		net->buffers[1], sizeof(struct virtio_net_hdr_v1) + FRAME_SIZE, false};
	uint8_t *sent = driver_at(&net->driver, net->buffers[1]);
	memcpy(sent + sizeof(struct virtio_net_hdr_v1), frame + 4, FRAME_SIZE);
	driver_add(&net->driver, 0, &in, 1);
	driver_add(&net->driver, 1, &out, 1);
	assert_int_equal(write(net->frames[1], frame, sizeof(frame)), sizeof(frame));
	driver_kick(&net->driver, 0);
	driver_kick(&net->driver, 1);
	net_run(net, left, rest);
	assert_true(driver_wait_used(&net->driver, 0, 0, NULL, NULL));
	assert_true(driver_wait_used(&net->driver, 1, 0, NULL, NULL));
	assert_int_equal(recv(net->frames[1], back, sizeof(back), MSG_DONTWAIT), sizeof(back));
	assert_memory_equal(back, frame, sizeof(back));
	assert_memory_equal(
		(uint8_t *)driver_at(&net->driver, net->buffers[0]) + sizeof(struct virtio_net_hdr_v1),
		frame + 4, FRAME_SIZE);
}

static int drive_net(struct error *error) {
	(void)error;
	struct net_ends net;
	unsigned left = spare();
	net_open(&net);
	const struct net_options options = {.fds = {net.frames[0]},
		.pair_count = 1,
		.supply_fd = net.links[0],
		.mac = {2, 0, 0, 0, 0, 9},
		.mtu = 1500};
	go_on(left);
	int ret = net_create(&net.device, &options);
	left = spare();
	if (ret == 0) {
		assert_int_equal(driver_start(&net.driver, net.device, 0), 0);
		net_talk(&net, left, &left);
		driver_stop(&net.driver);
		net_destroy(net.device);
	}
	net_close(&net);
	go_on(left);
	return ret;
}

static void test_net(void **state) {
	(void)state;
	survive(drive_net, 8);
}

/* ---- sound ---- */

static void sound_run(struct loop *loop) {
	struct epoll_event event;
	for (unsigned i = 0; i < 1000 && epoll_wait(loop->epoll_fd, &event, 1, 0) == 1; i++) {
		struct loop_source *source = event.data.ptr;
		source->ready(source, event.events);
	}
}

/* A command as a program's first one: it arrives at the server, as the filter has it. */
static void sound_talk(struct loop *loop, int guest, int server, unsigned left, unsigned *rest) {
	uint8_t frame[PULSE_DESCRIPTOR_SIZE + 20 + PULSE_COOKIE_SIZE] = {0}, seen[sizeof(frame)];
	uint8_t *body = frame + PULSE_DESCRIPTOR_SIZE;
	tags_put(frame, 20 + PULSE_COOKIE_SIZE);
	tags_put(frame + 4, PULSE_CONTROL);
	tags_put_number(tags_put_number(tags_put_number(body, PULSE_AUTH), 0), 32);
	body[15] = 'x';
	tags_put(body + 16, PULSE_COOKIE_SIZE);
	assert_int_equal(send(guest, frame, sizeof(frame), MSG_NOSIGNAL), sizeof(frame));
	go_on(left);
	sound_run(loop);
	*rest = spare();
	assert_int_equal(recv(server, seen, sizeof(seen), MSG_DONTWAIT), sizeof(seen));
	assert_memory_equal(seen, frame, sizeof(seen));
}

static int filter_sound(struct error *error) {
	(void)error;
	unsigned left = spare(), count = 0;
	struct loop loop;
	struct sound_connection *list = NULL;
	int guest[2], server[2];
	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, guest), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, server), 0);
	go_on(left);
	const struct sound_rules rules = {.tag = "vm"};
	int ret = sound_connection_create(&list, &count, &loop, guest[1], server[1], &rules);
	left = spare();
	assert_int_equal(count, ret == 0);
	if (ret == 0) {
		sound_talk(&loop, guest[0], server[0], left, &left);
		sound_connection_destroy(list);
	}
	loop_finish(&loop);
	close(guest[0]);
	close(server[0]);
	go_on(left);
	return ret;
}

static void test_sound(void **state) {
	(void)state;
	survive(filter_sound, 6);
}

/* ---- places of VMs, and what is said there ---- */

static int take_place(struct error *error) {
	struct instance instance = {0};
	int ret = instance_take_any(&instance, error);
	instance_give_up(&instance);
	return ret;
}

static void test_place(void **state) {
	(void)state;
	char top[] = "/tmp/ph-faults-XXXXXX", command_line[64];
	assert_non_null(mkdtemp(top));
	setenv("XDG_RUNTIME_DIR", top, 1);
	survive(take_place, 4);
	snprintf(command_line, sizeof(command_line), "rm -rf %s", top);
	assert_int_equal(system(command_line), 0);
}

static int talk_about(struct error *error) {
	(void)error;
	static uint8_t buffer[INSTANCE_MESSAGE_MAX];
	struct instance_streams streams = {.ours = {-1, -1, -1}, .theirs = {-1, -1, -1}};
	struct instance_message message;
	int ends[2];
	unsigned left = spare();
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	go_on(left);
	int ret = instance_make_streams(&streams, false, true);
	if (ret == 0) {
		ret = instance_send(ends[0], INSTANCE_EXEC, 7, "records", 8, streams.theirs, 3);
	}
	if (ret == 0) {
		ret = instance_receive(ends[1], buffer, &message);
		assert_int_equal(ret, 1);
		assert_string_equal((char *)message.data, "records");
		assert_true(message.fds[2] >= 0);
		instance_close_streams(message.fds);
		ret = 0;
	}
	instance_close_streams(streams.ours);
	instance_close_streams(streams.theirs);
	left = spare();
	close(ends[0]);
	close(ends[1]);
	go_on(left);
	return ret;
}

static void test_messages(void **state) {
	(void)state;
	survive(talk_about, 4);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_display),
		cmocka_unit_test(test_make_vfds),
		cmocka_unit_test(test_net),
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_messages),
	};
	return cmocka_run_group_tests_name("faults_sockets", tests, NULL, NULL);
}
