/*
 * The kernel's own price: an epoll loop that reads what a device sends and answers each PUBLISH with its PUBACK.
 * Of MQTT it knows just enough to find where frames end, and nothing goes anywhere. It prints its port when it is
 * ready and ends with SIGTERM.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024, LARGEST_FRAME = 16 * 1024, EVENTS = 256 };

struct connection {
  int socket;
  size_t kept;
  unsigned char rest[LARGEST_FRAME];
};

static unsigned char input[LARGEST_FRAME + READ_BYTES];
static unsigned char output[READ_BYTES * 2];

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void close_connection(struct connection *connection) {
  close(connection->socket);
  free(connection);
}

/* Answers the frames in input[0, length); returns where the first incomplete one begins, or -1 at DISCONNECT. */
static long answer(int socket, size_t length) {
  size_t at = 0, out = 0;
  for (;;) {
    size_t remaining = 0, body = at + 1;
    int shift = 0, complete = 0;
    while (body < length && shift < 28) {
      unsigned char byte = input[body++];
      remaining |= (size_t)(byte & 0x7f) << shift;
      shift += 7;
      if (byte < 0x80) {
        complete = 1;
        break;
      }
    }
    if (at >= length || !complete || body + remaining > length) break;
    unsigned char type = input[at] & 0xf0;
    if (type == 0x10) {
      memcpy(output + out, "\x20\x02\x00\x00", 4);
      out += 4;
    } else if (type == 0x30 && (input[at] & 0x06) != 0) {
      size_t id = body + 2 + ((size_t)input[body] << 8 | input[body + 1]);
      output[out++] = 0x40;
      output[out++] = 2;
      output[out++] = input[id];
      output[out++] = input[id + 1];
    } else if (type == 0xe0) {
      return -1;
    }
    at = body + remaining;
  }
  for (size_t sent = 0; sent < out;) {
    ssize_t n = write(socket, output + sent, out - sent);
    if (n > 0) sent += (size_t)n;
    else if (errno != EAGAIN) return -1;
  }
  return (long)at;
}

static void serve(struct connection *connection) {
  memcpy(input, connection->rest, connection->kept);
  ssize_t n = read(connection->socket, input + connection->kept, READ_BYTES);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) {
    close_connection(connection);
    return;
  }
  size_t length = connection->kept + (size_t)n;
  long read_to = answer(connection->socket, length);
  if (read_to < 0 || length - (size_t)read_to > LARGEST_FRAME) {
    close_connection(connection);
    return;
  }
  connection->kept = length - (size_t)read_to;
  memcpy(connection->rest, input + read_to, connection->kept);
}

static void accept_all(int listener, int poller) {
  int socket;
  while ((socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
    int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct connection *connection = malloc(sizeof *connection);
    if (connection == NULL) fail("malloc");
    connection->socket = socket;
    connection->kept = 0;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, socket, &event) < 0) fail("epoll_ctl");
  }
}

int main(void) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0) fail("bind");
  if (listen(listener, 1024) < 0) fail("listen");
  getsockname(listener, (struct sockaddr *)&address, &size);

  int poller = epoll_create1(0);
  struct epoll_event listening = {.events = EPOLLIN, .data.ptr = NULL};
  if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &listening) < 0) fail("epoll");
  printf("listening on %d\n", ntohs(address.sin_port));
  fflush(stdout);

  struct epoll_event events[EVENTS];
  for (;;) {
    int count = epoll_wait(poller, events, EVENTS, -1);
    for (int i = 0; i < count; i++) {
      if (events[i].data.ptr == NULL) accept_all(listener, poller);
      else serve(events[i].data.ptr);
    }
  }
}
