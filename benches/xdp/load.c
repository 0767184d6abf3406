/* A closed loop of DNS queries: ADDRESS FILE SECONDS many|one [edns]
 *
 * FILE has a qname a line, asked for as type A, round and round: "many" over 8 sockets with 24 queries under way each,
 * "one" over one, waiting for each answer as a stub does. Prints the queries answered, those with an answer record,
 * those lost, and the seconds they took. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOCKETS 8
#define WINDOW 24
#define QUERY_MAX 128
#define REPLY_MAX 512
#define GIVE_UP 1

struct query {
	unsigned char bytes[QUERY_MAX];
	size_t len;
};

/* A socket; `free` lists the numbers that no query under way has. */
struct flow {
	int fd;
	int under_way;
	int free[WINDOW];
	unsigned char asked[WINDOW];
	double heard;
};

static struct query *queries;
static size_t query_count;
static unsigned long received, answered, lost;
static int sockets = SOCKETS, window = WINDOW, waiting = MSG_DONTWAIT;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void make_query(struct query *query, const char *qname, int edns)
{
	static const unsigned char opt[] = {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0};
	unsigned char header[] = {0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, edns};
	unsigned char *at = query->bytes + sizeof(header);

	memcpy(query->bytes, header, sizeof(header));
	for (size_t len; (len = strcspn(qname, ".\n")) > 0; qname += len + (qname[len] == '.')) {
		if (len > 63 || at + len + 32 > query->bytes + QUERY_MAX)
			die("qname");
		*at++ = len;
		memcpy(at, qname, len);
		at += len;
	}
	memcpy(at, "\0\0\1\0\1", 5);
	at += 5;
	if (edns) {
		memcpy(at, opt, sizeof(opt));
		at += sizeof(opt);
	}
	query->len = at - query->bytes;
}

static void read_queries(const char *path, int edns)
{
	FILE *file = fopen(path, "r");
	char line[256];

	if (!file)
		die(path);
	while (fgets(line, sizeof(line), file)) {
		queries = realloc(queries, (query_count + 1) * sizeof(*queries));
		if (!queries)
			die("memory");
		make_query(&queries[query_count++], line, edns);
	}
	fclose(file);
	if (!query_count)
		die(path);
}

/* Forgets what is under way. */
static void reset(struct flow *flow)
{
	for (int i = 0; i < WINDOW; i++) {
		flow->free[i] = i;
		flow->asked[i] = 0;
	}
	flow->under_way = 0;
}

static void open_flow(struct flow *flow, const char *address)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
	struct timeval patience = {.tv_sec = GIVE_UP};
	int size = 4 << 20;

	flow->fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (flow->fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1 ||
	    connect(flow->fd, (struct sockaddr *)&to, sizeof(to)))
		die(address);
	setsockopt(flow->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(flow->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	flow->heard = now();
	reset(flow);
}

static void send_more(struct flow *flow)
{
	static size_t next;
	struct mmsghdr messages[WINDOW];
	struct iovec parts[WINDOW][2];
	unsigned char numbers[WINDOW][2];
	int count = window - flow->under_way, sent;

	memset(messages, 0, sizeof(messages));
	for (int i = 0; i < count; i++) {
		struct query *query = &queries[(next + i) % query_count];

		numbers[i][0] = 0xa5;
		numbers[i][1] = flow->free[i];
		parts[i][0] = (struct iovec){numbers[i], 2};
		parts[i][1] = (struct iovec){query->bytes + 2, query->len - 2};
		messages[i].msg_hdr.msg_iov = parts[i];
		messages[i].msg_hdr.msg_iovlen = 2;
	}
	sent = count ? sendmmsg(flow->fd, messages, count, MSG_DONTWAIT) : 0;
	if (sent <= 0)
		return;
	next = (next + sent) % query_count;
	for (int i = 0; i < sent; i++)
		flow->asked[flow->free[i]] = 1;
	memmove(flow->free, flow->free + sent, (count - sent) * sizeof(flow->free[0]));
	flow->under_way += sent;
}

static int receive(struct flow *flow)
{
	static unsigned char replies[WINDOW][REPLY_MAX];
	struct mmsghdr messages[WINDOW];
	struct iovec parts[WINDOW];
	int count;

	memset(messages, 0, sizeof(messages));
	for (int i = 0; i < WINDOW; i++) {
		parts[i] = (struct iovec){replies[i], REPLY_MAX};
		messages[i].msg_hdr.msg_iov = &parts[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	count = recvmmsg(flow->fd, messages, window, waiting, NULL);
	for (int i = 0; i < count; i++) {
		unsigned char *reply = replies[i], number = reply[1];

		if (messages[i].msg_len < 12 || number >= WINDOW || !flow->asked[number])
			continue;
		flow->asked[number] = 0;
		flow->under_way--;
		flow->free[window - flow->under_way - 1] = number;
		received++;
		answered += (reply[3] & 15) == 0 && reply[7] > 0;
	}
	return count > 0;
}

int main(int argc, char **argv)
{
	static struct flow flows[SOCKETS];
	double start, end;

	if (argc < 5) {
		fputs("ADDRESS FILE SECONDS many|one [edns]\n", stderr);
		return 2;
	}
	if (!strcmp(argv[4], "one")) {
		sockets = window = 1;
		waiting = MSG_WAITFORONE;
	}
	read_queries(argv[2], argc > 5);
	for (int i = 0; i < sockets; i++)
		open_flow(&flows[i], argv[1]);
	start = now();
	end = start + atof(argv[3]);
	for (double t = start; t < end; t = now()) {
		int busy = 0;

		for (int i = 0; i < sockets; i++) {
			send_more(&flows[i]);
			if (receive(&flows[i])) {
				busy = 1;
				flows[i].heard = t;
			} else if (t - flows[i].heard > GIVE_UP) {
				lost += flows[i].under_way;
				reset(&flows[i]);
				flows[i].heard = t;
			}
		}
		if (!busy)
			sched_yield();
	}
	printf("%lu %lu %lu %.6f\n", received, answered, lost, now() - start);
	return 0;
}
