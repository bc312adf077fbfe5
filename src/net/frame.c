/*
 * Frames of the guest: taking them out of their chains, judging where they may go, and the checksums that the
 * guest's kernel leaves to its device. Runs in the net worker. All of it is hostile: headers are copied, and
 * the copy is judged and sent.
 */
#include "net/frame.h"

#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <string.h>

#define ETHERNET_SIZE 14
#define TYPE_IPV4 0x0800
#define TYPE_ARP 0x0806
#define TYPE_IPV6 0x86dd
#define IPV4_PROTOCOL (ETHERNET_SIZE + 9)
#define IPV4_TO (ETHERNET_SIZE + 16)
#define IPV6_TO (ETHERNET_SIZE + 24)

/* ---- the header before the frame ---- */

static const char *check_checksum(const struct net_frame *frame, uint64_t features) {
	if ((features >> VIRTIO_NET_F_CSUM & 1) == 0) {
		return "a checksum is left out without VIRTIO_NET_F_CSUM";
	}
	uint32_t end = (uint32_t)frame->header.csum_start + frame->header.csum_offset + 2;
	return end > frame->size ? "a checksum lies outside of its frame" : NULL;
}

static const char *check_segments(const struct net_frame *frame, uint64_t features) {
	bool ecn = (frame->header.gso_type & VIRTIO_NET_HDR_GSO_ECN) != 0;
	unsigned feature;
	switch (frame->header.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		feature = VIRTIO_NET_F_HOST_TSO4;
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		feature = VIRTIO_NET_F_HOST_TSO6;
		break;
	default:
		return "a kind of segmentation that was not offered";
	}
	if ((features >> feature & 1) == 0 || (ecn && (features >> VIRTIO_NET_F_HOST_ECN & 1) == 0)) {
		return "segmentation that was not negotiated";
	}
	if (frame->header.gso_size == 0) {
		return "segments of no size";
	}
	return (frame->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 ? "segments with their checksum"
									: NULL;
}

/* Flags without a meaning here are the driver's to set. */
static const char *check_header(struct net_frame *frame, uint64_t features) {
	const char *rule = NULL;
	frame->header.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	frame->header.num_buffers = 0;
	if (frame->header.flags != 0) {
		rule = check_checksum(frame, features);
	}
	if (rule == NULL && frame->header.gso_type != VIRTIO_NET_HDR_GSO_NONE) {
		rule = check_segments(frame, features);
	}
	return rule;
}

const char *net_frame_read(struct net_frame *frame, const struct virtqueue_chain *chain, uint64_t features) {
	if (chain->writable_count > 0) {
		return "a device-writable buffer in the queue of frames to send";
	}
	if (chain->readable_size < NET_HEADER_SIZE + ETHERNET_SIZE ||
		chain->readable_size > NET_HEADER_SIZE + NET_FRAME_MAX) {
		return "a frame that is too short or too long";
	}
	virtqueue_chain_read(chain, 0, &frame->header, NET_HEADER_SIZE);
	frame->size = (uint32_t)(chain->readable_size - NET_HEADER_SIZE);
	frame->head_size = frame->size < NET_HEAD_SIZE ? frame->size : NET_HEAD_SIZE;
	virtqueue_chain_read(chain, NET_HEADER_SIZE, frame->head, frame->head_size);
	/* Whatever was copied is what is judged: the compiler must not read the guest's bytes again. */
	__asm__ volatile("" : : : "memory");
	frame->rest_count = virtqueue_chain_slice(chain, false, NET_HEADER_SIZE + frame->head_size,
		frame->size - frame->head_size, frame->rest, VIRTQUEUE_SIZE_MAX);
	return check_header(frame, features);
}

/* ---- where it may go ---- */

static unsigned big_endian(const uint8_t *bytes) {
	return (unsigned)bytes[0] << 8 | bytes[1];
}

/* 0.0.0.0 is the host itself to Linux, as 127.0.0.1 is. */
static bool ipv4_may_leave(const struct net_frame *frame) {
	return frame->head_size >= IPV4_TO + 4 && frame->head[IPV4_TO] != 127 && frame->head[IPV4_TO] != 0;
}

/* Neither :: and ::1 nor an IPv4 address in the dress of IPv6. */
static bool ipv6_may_leave(const struct net_frame *frame) {
	static const uint8_t zeros[10];
	if (frame->head_size < IPV6_TO + 16) {
		return false;
	}
	const uint8_t *to = frame->head + IPV6_TO;
	unsigned sixth = big_endian(to + 10);
	return memcmp(to, zeros, sizeof(zeros)) != 0 || (sixth != 0 && sixth != 0xffff);
}

/* passt turns what it gets into the host's own sockets, and connects them wherever the frame says. */
bool net_frame_may_leave(const struct net_frame *frame) {
	switch (big_endian(frame->head + 12)) {
	case TYPE_ARP:
		return true;
	case TYPE_IPV4:
		return ipv4_may_leave(frame);
	case TYPE_IPV6:
		return ipv6_may_leave(frame);
	default:
		return false;
	}
}

bool net_frame_is_tcp_to(const struct net_frame *frame, const uint8_t address[4]) {
	return big_endian(frame->head + 12) == TYPE_IPV4 && frame->head_size >= IPV4_TO + 4 &&
	       frame->head[IPV4_PROTOCOL] == IPPROTO_TCP && memcmp(frame->head + IPV4_TO, address, 4) == 0;
}

/* ---- checksums ---- */

static uint16_t fold(uint64_t sum) {
	while (sum >> 16 != 0) {
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

struct sum {
	uint64_t words, carries;
};

static inline void add_word(struct sum *sum, const uint8_t *data) {
	uint64_t word;
	memcpy(&word, data, sizeof(word));
	sum->words += word;
	sum->carries += sum->words < word;
}

/* The ones' complement sum of 16-bit words as they lie in memory. Every byte that a guest sends to passt goes
 * through here. */
static uint16_t sum_bytes(const uint8_t *data, size_t len) {
	struct sum sum = {0};
	for (; len >= 32; data += 32, len -= 32) {
		add_word(&sum, data);
		add_word(&sum, data + 8);
		add_word(&sum, data + 16);
		add_word(&sum, data + 24);
	}
	for (; len >= 8; data += 8, len -= 8) {
		add_word(&sum, data);
	}
	uint8_t last[8] = {0};
	memcpy(last, data, len);
	add_word(&sum, last);
	return fold((sum.words & 0xffffffff) + (sum.words >> 32) + sum.carries);
}

/* A sum that starts in the middle of a word has its bytes on the wrong sides. */
static uint16_t swap_if(bool odd, uint16_t sum) {
	return odd ? (uint16_t)(sum << 8 | sum >> 8) : sum;
}

bool net_frame_finish_checksum(struct net_frame *frame) {
	if (frame->header.flags == 0) {
		return true;
	}
	size_t start = frame->header.csum_start, at = start + frame->header.csum_offset;
	if (at + 2 > frame->head_size) {
		return false; /* no header is that long */
	}
	size_t done = frame->head_size - start;
	uint64_t sum = sum_bytes(frame->head + start, done);
	for (unsigned i = 0; i < frame->rest_count; i++) {
		sum += swap_if(done % 2 != 0, sum_bytes(frame->rest[i].iov_base, frame->rest[i].iov_len));
		done += frame->rest[i].iov_len;
	}
	uint16_t checksum = (uint16_t)~fold(sum);
	/* UDP's 0 would mean that there is none. */
	checksum = checksum == 0 ? 0xffff : checksum;
	memcpy(frame->head + at, &checksum, 2);
	return true;
}

/* ---- refusals ---- */

struct refusal {
	struct ether_header ethernet;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));
_Static_assert(sizeof(struct refusal) == NET_REFUSAL_SIZE, "what a refusal is made of");

/* The pseudo-header's addresses are where the datagram has them. */
static uint16_t tcp_checksum(const struct refusal *refusal) {
	uint64_t sum = sum_bytes(
		(const uint8_t *)refusal + offsetof(struct refusal, ip.saddr), 8 + sizeof(refusal->tcp));
	return (uint16_t)~fold(sum + htons(IPPROTO_TCP) + htons(sizeof(refusal->tcp)));
}

bool net_frame_refuse(const struct net_frame *frame, uint8_t refusal[NET_REFUSAL_SIZE]) {
	struct ether_header ethernet;
	struct iphdr ip;
	struct tcphdr tcp;
	if (frame->head_size < sizeof(ethernet) + sizeof(ip)) {
		return false;
	}
	memcpy(&ethernet, frame->head, sizeof(ethernet));
	memcpy(&ip, frame->head + sizeof(ethernet), sizeof(ip));
	size_t at = sizeof(ethernet) + ip.ihl * 4u;
	if (ip.ihl < 5 || (ntohs(ip.frag_off) & IP_OFFMASK) != 0 || frame->head_size < at + sizeof(tcp)) {
		return false;
	}
	memcpy(&tcp, frame->head + at, sizeof(tcp));
	if (!tcp.syn || tcp.ack || tcp.rst) {
		return false;
	}
	struct refusal answer = {.ethernet.ether_type = ethernet.ether_type,
		.ip = {.version = 4,
			.ihl = 5,
			.tot_len = htons(sizeof(ip) + sizeof(tcp)),
			.frag_off = htons(IP_DF),
			.ttl = IPDEFTTL,
			.protocol = IPPROTO_TCP,
			.saddr = ip.daddr,
			.daddr = ip.saddr},
		.tcp = {.source = tcp.dest,
			.dest = tcp.source,
			.ack_seq = htonl(ntohl(tcp.seq) + 1),
			.doff = sizeof(tcp) / 4,
			.ack = 1,
			.rst = 1}};
	memcpy(answer.ethernet.ether_dhost, ethernet.ether_shost, ETH_ALEN);
	memcpy(answer.ethernet.ether_shost, ethernet.ether_dhost, ETH_ALEN);
	answer.ip.check = (uint16_t)~sum_bytes((const uint8_t *)&answer.ip, sizeof(answer.ip));
	answer.tcp.check = tcp_checksum(&answer);
	memcpy(refusal, &answer, sizeof(answer));
	return true;
}
