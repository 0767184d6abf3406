/* Answers DNS queries that arrive on a pod's interface from a table of ready answers; whatever it
 * does not know, or is not sure of, goes on to the socket untouched.
 *
 * Ethernet, IPv4 without options or fragments, UDP to the service's address and port, one question
 * of class IN, no record but a plain OPT. The table is filled by mirror.py, and replaced whole. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "hook.h"

#define QNAME_MAX 64
#define LABELS_MAX 16
#define RECORDS_MAX 320
#define TTLS_MAX 8
#define SECOND 1000000000ULL

#define IP_DF 0x4000
#define IP_MF_AND_OFFSET 0x3fff
#define FLAG_RD 0x0100
#define FLAG_AD 0x0020
#define CLASS_IN 1

struct dns {
	__be16 id, flags, qdcount, ancount, nscount, arcount;
};

struct headers {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	struct dns dns;
} __attribute__((packed, aligned(2)));

struct question_tail {
	__be16 qtype, qclass;
} __attribute__((packed));

/* What a client's OPT looks like when there is nothing to it (RFC 6891 section 6.1.2). */
struct plain_opt {
	__u8 owner;
	__be16 type, udp_size;
	__u8 rcode, version;
	__be16 flags, len;
} __attribute__((packed));

/* The key. The qname is in lower case and filled up with zeros. */
struct question {
	__u64 qname[QNAME_MAX / 8];
	__be16 qtype;
	__u8 edns;
	__u8 unused;
	__u32 unused_too;
};

/* A ready answer: everything behind the question, which stays as the client wrote it. */
struct answer {
	__u64 learned; /* CLOCK_MONOTONIC, ns: what the TTLs count from */
	__u64 until;   /* from then on it is not an answer any more */
	__be16 flags;  /* QR to RCODE, RD not set */
	__be16 counts[3];
	__u16 len;
	__u16 ttls;
	__u16 ttl_at[TTLS_MAX];
	__u8 records[RECORDS_MAX];
	__u32 beyond; /* a TTL is read at any offset below RECORDS_MAX */
};

/* bpf.py has the same list. */
enum outcome { ANSWERED, NOT_FOR_US, UNUSUAL, UNKNOWN, EXPIRED, NO_ROOM, BROKEN, OUTCOMES };

struct table {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct question));
	__uint(value_size, sizeof(struct answer));
};

/* One slot with the table of the moment. An update of it returns when no program reads the table
 * that was there before, so an entry never changes under a reader. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, struct table);
} current SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, OUTCOMES);
	__type(key, __u32);
	__type(value, __u64);
} outcomes SEC(".maps");

/* Set before the program is loaded. */
const volatile struct {
	__be32 address;
	__be16 port;
	__be16 unused;
} service;

static __always_inline int count(enum outcome outcome, int verdict)
{
	__u32 index = outcome;
	__u64 *cell = bpf_map_lookup_elem(&outcomes, &index);

	if (cell)
		*cell += 1;
	return verdict;
}

/* Eight bytes in lower case at once; bytes from 0x80 on stay. A label's length is below 'A'. */
static __always_inline __u64 lower(__u64 word)
{
	__u64 low = word & 0x7f7f7f7f7f7f7f7fULL;
	__u64 from_a = low + 0x3f3f3f3f3f3f3f3fULL;
	__u64 past_z = low + 0x2525252525252525ULL;

	return word | ((~word & (from_a ^ past_z) & 0x8080808080808080ULL) >> 2);
}

/* Whether the packet is a datagram for the service, whole and nothing but that. */
static __always_inline int is_for_us(struct headers *h, __u64 len)
{
	__u16 ip_len = bpf_ntohs(h->ip.tot_len);

	return h->eth.h_proto == bpf_htons(ETH_P_IP) && *(__u8 *)&h->ip == 0x45 &&
	       h->ip.protocol == IPPROTO_UDP && h->ip.daddr == service.address &&
	       h->udp.dest == service.port && !(h->ip.frag_off & bpf_htons(IP_MF_AND_OFFSET)) &&
	       len == sizeof(h->eth) + ip_len && ip_len == sizeof(h->ip) + bpf_ntohs(h->udp.len);
}

static __always_inline int is_plain_query(struct dns *dns)
{
	return !(dns->flags & ~bpf_htons(FLAG_RD | FLAG_AD)) && dns->qdcount == bpf_htons(1) &&
	       !dns->ancount && !dns->nscount && !(dns->arcount & ~bpf_htons(1));
}

static __always_inline int is_plain_opt(struct plain_opt *opt)
{
	return !opt->owner && opt->type == bpf_htons(41) && !opt->rcode && !opt->version &&
	       !opt->flags && !opt->len;
}

/* The length of the name at `name`, the root's zero byte included; 0 if it is none for the table. */
static __always_inline __u32 name_length(__u8 *name, void *end)
{
	__u32 at = 0;

	for (int i = 0; i < LABELS_MAX; i++) {
		__u8 *label = name + at;

		if ((void *)(label + 1) > end)
			return 0;
		if (!*label)
			return at + 1;
		at += *label + 1;
		if (*label > 63 || at >= QNAME_MAX)
			return 0;
	}
	return 0;
}

/* Reads the question into a zeroed key; the end of the question in the packet goes to `past`. */
static __always_inline enum outcome read_question(packet_t *packet, struct question *key, __u32 *past)
{
	void *data = (void *)(long)packet->data, *end = (void *)(long)packet->data_end;
	struct headers *h = data;
	__u32 len;

	if ((void *)(h + 1) > end || !is_for_us(h, end - data))
		return NOT_FOR_US;
	if (!is_plain_query(&h->dns))
		return UNUSUAL;
	len = name_length((__u8 *)(h + 1), end);
	if (!len || len > QNAME_MAX)
		return UNUSUAL;
	struct question_tail *tail = (void *)(h + 1) + len;
	struct plain_opt *opt = (void *)(tail + 1);

	if ((void *)opt > end || tail->qclass != bpf_htons(CLASS_IN))
		return UNUSUAL;
	key->qtype = tail->qtype;
	key->edns = !!h->dns.arcount;
	*past = sizeof(*h) + len + sizeof(*tail);
	if (*past + (key->edns ? sizeof(*opt) : 0) != end - data)
		return UNUSUAL;
	if (key->edns && ((void *)(opt + 1) > end || !is_plain_opt(opt)))
		return UNUSUAL;
	if (load_bytes(packet, sizeof(*h), key->qname, len))
		return UNUSUAL;
	for (int i = 0; i < QNAME_MAX / 8; i++)
		key->qname[i] = lower(key->qname[i]);
	return ANSWERED;
}

static __always_inline __be16 ip_sum(struct iphdr *ip)
{
	__u16 *word = (__u16 *)ip;
	__u32 sum = 0;

	for (int i = 0; i < (int)sizeof(*ip) / 2; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

/* Turns the headers round and completes them for `len` bytes of packet. */
static __always_inline void turn_round(struct headers *h, const struct answer *answer, __u32 len)
{
	__u8 mac[ETH_ALEN];
	__be32 address = h->ip.saddr;
	__be16 port = h->udp.source;

	__builtin_memcpy(mac, h->eth.h_dest, ETH_ALEN);
	__builtin_memcpy(h->eth.h_dest, h->eth.h_source, ETH_ALEN);
	__builtin_memcpy(h->eth.h_source, mac, ETH_ALEN);
	h->ip.saddr = h->ip.daddr;
	h->ip.daddr = address;
	h->ip.tos = 0;
	h->ip.id = 0;
	h->ip.frag_off = bpf_htons(IP_DF);
	h->ip.ttl = 64;
	h->ip.tot_len = bpf_htons(len - sizeof(h->eth));
	h->ip.check = 0;
	h->ip.check = ip_sum(&h->ip);
	h->udp.source = h->udp.dest;
	h->udp.dest = port;
	h->udp.len = bpf_htons(len - sizeof(h->eth) - sizeof(h->ip));
	/* None (RFC 768): the packet crosses no wire, and its bytes come from this host's memory. */
	h->udp.check = 0;
	h->dns.flags = answer->flags | (h->dns.flags & bpf_htons(FLAG_RD));
	h->dns.ancount = answer->counts[0];
	h->dns.nscount = answer->counts[1];
	h->dns.arcount = answer->counts[2];
}

/* Writes the records behind the question, their TTLs less the seconds since they were learned. */
static __always_inline long write_records(packet_t *packet, struct answer *answer, __u32 at, __u32 len,
					  __u32 elapsed)
{
	if (store_bytes(packet, at, answer->records, len))
		return -1;
	for (int i = 0; i < TTLS_MAX && i < answer->ttls; i++) {
		__u32 offset = answer->ttl_at[i];
		__u32 ttl;

		if (offset >= RECORDS_MAX)
			return -1;
		__builtin_memcpy(&ttl, answer->records + offset, sizeof(ttl));
		ttl = bpf_htonl(bpf_ntohl(ttl) - elapsed);
		if (store_bytes(packet, at + offset, &ttl, sizeof(ttl)))
			return -1;
	}
	return 0;
}

static __always_inline struct answer *find(struct question *key)
{
	__u32 slot = 0;
	void *table = bpf_map_lookup_elem(&current, &slot);

	return table ? bpf_map_lookup_elem(table, key) : 0;
}

SEC(HOOK_SECTION)
int answer_query(packet_t *packet)
{
	struct question key = {};
	__u32 past = 0;
	enum outcome outcome = read_question(packet, &key, &past);

	if (outcome != ANSWERED)
		return count(outcome, HOOK_PASS);
	struct answer *answer = find(&key);

	if (!answer)
		return count(UNKNOWN, HOOK_PASS);
	__u64 now = bpf_ktime_get_coarse_ns();
	/* Rounded up: the socket's TTLs are rounded too, and none of ours may be above them. */
	__u32 elapsed = (now > answer->learned ? (now - answer->learned) / SECOND : 0) + 1;
	__u32 len = answer->len, opt = key.edns ? sizeof(struct plain_opt) : 0;

	if (now >= answer->until)
		return count(EXPIRED, HOOK_PASS);
	if (len < 1 || len > RECORDS_MAX || resize(packet, past + opt, past + len))
		return count(NO_ROOM, HOOK_PASS);
	/* From here on the packet is not the client's any more: what fails is dropped, not passed. */
	if (write_records(packet, answer, past, len, elapsed))
		return count(BROKEN, HOOK_DROP);
	struct headers *h = (void *)(long)packet->data;

	if ((void *)(h + 1) > (void *)(long)packet->data_end)
		return count(BROKEN, HOOK_DROP);
	turn_round(h, answer, past + len);
	return count(ANSWERED, send_back(packet));
}

/* Does nothing: what the hook itself costs. */
SEC(HOOK_SECTION)
int pass_all(packet_t *packet)
{
	return HOOK_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
