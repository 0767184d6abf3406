/* The two places a program can sit at, behind one set of names: XDP (default) and, with -DHOOK_TC,
 * the clsact ingress of the same interface. */
#ifndef HOOK_H
#define HOOK_H

#ifdef HOOK_TC

#include <linux/pkt_cls.h>

typedef struct __sk_buff packet_t;

#define HOOK_SECTION "tc"
#define HOOK_PASS TC_ACT_UNSPEC
#define HOOK_DROP TC_ACT_SHOT

static __always_inline long load_bytes(packet_t *packet, __u32 at, void *to, __u32 len)
{
	return bpf_skb_load_bytes(packet, at, to, len);
}

static __always_inline long store_bytes(packet_t *packet, __u32 at, void *from, __u32 len)
{
	return bpf_skb_store_bytes(packet, at, from, len, 0);
}

/* Makes a packet of `now` bytes `len` long, in another buffer if need be. */
static __always_inline long resize(packet_t *packet, __u32 now, __u32 len)
{
	return bpf_skb_change_tail(packet, len, 0);
}

static __always_inline int send_back(packet_t *packet)
{
	return bpf_redirect(packet->ifindex, 0);
}

#else

typedef struct xdp_md packet_t;

#define HOOK_SECTION "xdp"
#define HOOK_PASS XDP_PASS
#define HOOK_DROP XDP_DROP

static __always_inline long load_bytes(packet_t *packet, __u32 at, void *to, __u32 len)
{
	return bpf_xdp_load_bytes(packet, at, to, len);
}

static __always_inline long store_bytes(packet_t *packet, __u32 at, void *from, __u32 len)
{
	return bpf_xdp_store_bytes(packet, at, from, len);
}

/* Makes a packet of `now` bytes `len` long; it stays as it was where there is no room behind it. */
static __always_inline long resize(packet_t *packet, __u32 now, __u32 len)
{
	return bpf_xdp_adjust_tail(packet, len - now);
}

static __always_inline int send_back(packet_t *packet)
{
	return XDP_TX;
}

#endif
#endif
