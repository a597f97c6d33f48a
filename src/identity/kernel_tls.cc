#include "identity/kernel_tls.h"

#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "identity/bytes.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

namespace nm::identity {
namespace {

struct Secrets {
  std::string client, server;
  ~Secrets() {
    OPENSSL_cleanse(client.data(), client.size());
    OPENSSL_cleanse(server.data(), server.size());
  }
};

int secrets_index() {
  static const int index = SSL_get_ex_new_index(
      0, nullptr, nullptr, nullptr,
      [](void*, void* kept, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<Secrets*>(kept); });
  return index;
}

// "LABEL CLIENT_RANDOM SECRET", in hex.
void on_secret(const SSL* ssl, const char* told) {
  const std::string_view line = told;
  const size_t first = line.find(' '), last = line.rfind(' ');
  const std::string_view label = line.substr(0, first);
  const bool client = label == "CLIENT_TRAFFIC_SECRET_0";
  if (!client && label != "SERVER_TRAFFIC_SECRET_0") return;
  auto* secrets = static_cast<Secrets*>(SSL_get_ex_data(ssl, secrets_index()));
  if (!secrets) {
    secrets = new Secrets;
    SSL_set_ex_data(const_cast<SSL*>(ssl), secrets_index(), secrets);
  }
  (client ? secrets->client : secrets->server) = from_hex(line.substr(last + 1)).value_or("");
}

// HKDF-Expand-Label with no context, for no more than one block of the hash.
std::string expand(std::string_view secret, const std::string& label, size_t size) {
  const std::string full = "tls13 " + label;
  std::string info = {static_cast<char>(size >> 8), static_cast<char>(size), static_cast<char>(full.size())};
  info += full + '\0' + '\x01';
  std::string block(EVP_MAX_MD_SIZE, '\0');
  unsigned made = 0;
  HMAC(secret.size() == 48 ? EVP_sha384() : EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(info.data()), info.size(), reinterpret_cast<unsigned char*>(block.data()),
       &made);
  block.resize(size);
  return block;
}

template <typename Info>
bool set_key(int fd, int direction, unsigned short cipher, const RecordKey& key, uint64_t count) {
  Info info = {};
  static_assert(sizeof info.salt + sizeof info.iv == 12);
  if (key.key.size() != sizeof info.key || key.iv.size() != 12) return false;
  info.info.version = TLS_1_3_VERSION;
  info.info.cipher_type = cipher;
  memcpy(info.key, key.key.data(), sizeof info.key);
  memcpy(info.salt, key.iv.data(), sizeof info.salt);
  memcpy(info.iv, key.iv.data() + sizeof info.salt, sizeof info.iv);
  for (size_t i = 0; i < sizeof info.rec_seq; i++) info.rec_seq[i] = static_cast<unsigned char>(count >> (56 - 8 * i));
  const bool set = ::setsockopt(fd, SOL_TLS, direction, &info, sizeof info) == 0;
  OPENSSL_cleanse(&info, sizeof info);
  return set;
}

bool set_direction(int fd, int direction, std::string_view secret, uint64_t count) {
  RecordKey key = record_key(secret);
  const bool set = secret.size() == 48
                       ? set_key<tls12_crypto_info_aes_gcm_256>(fd, direction, TLS_CIPHER_AES_GCM_256, key, count)
                       : set_key<tls12_crypto_info_aes_gcm_128>(fd, direction, TLS_CIPHER_AES_GCM_128, key, count);
  OPENSSL_cleanse(key.key.data(), key.key.size());
  return set;
}

bool set_both(int fd, std::string_view to_send, std::string_view to_receive, const RecordCounts& counts) {
  return ::setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof "tls") == 0 &&
         set_direction(fd, TLS_TX, to_send, counts.sent) && set_direction(fd, TLS_RX, to_receive, counts.received);
}

// Two ends of a TCP connection on loopback.
bool connect_pair(Fd* a, Fd* b) {
  sockaddr_in at = {};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  auto* address = reinterpret_cast<sockaddr*>(&at);
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  a->reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::bind(listener.get(), address, size) != 0 || ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), address, &size) != 0 || ::connect(a->get(), address, size) != 0) {
    return false;
  }
  b->reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return bool(*b);
}

bool try_it() {
  for (const size_t size : {32, 48}) {
    Fd a, b;
    const std::string one(size, '\x01'), other(size, '\x02');
    if (!connect_pair(&a, &b) || !set_both(a.get(), one, other, {.sent = 1, .received = 0}) ||
        !set_both(b.get(), other, one, {.sent = 0, .received = 1})) {
      return false;
    }
    const timeval patience = {.tv_sec = 5, .tv_usec = 0};
    for (const auto& [from, to] : {std::pair{a.get(), b.get()}, {b.get(), a.get()}}) {
      char text[8] = "";
      ::setsockopt(to, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      if (::send(from, "nearmtl", 8, MSG_NOSIGNAL) != 8 || ::recv(to, text, 8, MSG_WAITALL) != 8) return false;
      if (strcmp(text, "nearmtl") != 0) return false;
    }
  }
  return true;
}

}  // namespace

bool kernel_has_tls() {
  static const bool has = [] {
    const char* wish = ::getenv("NEARMETAL_KERNEL_TLS");
    return !(wish && strcmp(wish, "0") == 0) && try_it();
  }();
  return has;
}

void remember_secrets(SSL_CTX* context) {
  if (kernel_has_tls()) SSL_CTX_set_keylog_callback(context, on_secret);
}

bool give_to_kernel(SSL* ssl, int fd, const RecordCounts& counts) {
  const auto* secrets = static_cast<const Secrets*>(SSL_get_ex_data(ssl, secrets_index()));
  if (!secrets || secrets->client.empty() || secrets->server.empty() || SSL_has_pending(ssl)) return false;
  const bool is_server = SSL_is_server(ssl);
  const bool given = set_both(fd, is_server ? secrets->server : secrets->client,
                              is_server ? secrets->client : secrets->server, counts);
  SSL_set_quiet_shutdown(ssl, 1);
  return given;
}

RecordKey record_key(std::string_view secret) {
  return {.key = expand(secret, "key", secret.size() == 48 ? 32 : 16), .iv = expand(secret, "iv", 12)};
}

}  // namespace nm::identity
