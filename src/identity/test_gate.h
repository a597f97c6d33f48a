// A gate in a thread of the test's, the daemon's end of it, and clients good and bad.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <vector>

#include "identity/connection.h"
#include "identity/gate.h"
#include "identity/test_pool.h"
#include "wire/handover.h"

namespace nm::identity {

class GateTest : public testing::Test {
 protected:
  ~GateTest() override { close(); }

  void start() {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    daemon_.reset(ends[0]);
    control_.reset(ends[1]);
    listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in at = {};
    at.sin_family = AF_INET;  // any address of 127.0.0.0/8 reaches it
    socklen_t size = sizeof at;
    ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    ASSERT_EQ(::listen(listener_.get(), 1024), 0);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    options_.dir = pool_.dir();
    options_.control_fd = control_.get();
    options_.listeners = {listener_.get()};
    options_.warn = [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      lines_.push_back(line);
    };
    thread_ = std::thread([this] {
      const auto ran = run_gate(options_);
      EXPECT_TRUE(ran) << (ran ? "" : ran.error().message);
    });
  }
  void close() {
    daemon_.reset();
    if (thread_.joinable()) thread_.join();
  }

  wire::Address address() const { return *wire::parse_address("tls:127.0.0.1:" + std::to_string(port_)); }
  std::vector<std::string> lines() {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  bool logged(const std::string& part) {
    return eventually([&] {
      for (const std::string& line : lines()) {
        if (holds(line, part)) return true;
      }
      return false;
    });
  }

  // A member's connection with the certificate in `dir`, up to the admission. Else the sentence.
  Result<TlsConnection> call(const PoolDir& dir, Role role = Role::user) {
    const auto context = member_context(dir, role, kAlpnSession);
    if (!context) return context.error();
    auto connection = TlsConnection::open(context->get(), address(), "0123456789abcdef", limit());
    if (!connection) return connection;
    if (auto admitted = connection->await_admission(limit()); !admitted) return admitted.error();
    return connection;
  }
  std::string refusal(const PoolDir& dir, Role role = Role::user) {
    const auto connection = call(dir, role);
    return connection ? "admitted" : connection.error().message;
  }
  // What the daemon hears next; nothing, if nothing comes.
  std::optional<wire::Handover> hear(Fd* fd, Millis patience = Millis(60'000)) {
    wire::Handover handover;
    if (!wire::receive_handover(daemon_.get(), patience, &handover, fd)) return {};
    ::fcntl(fd->get(), F_SETFL, ::fcntl(fd->get(), F_GETFL) & ~O_NONBLOCK);
    return handover;
  }
  // The service goes on: a good member gets through.
  void expect_service() {
    auto connection = call(pool_.dir());
    ASSERT_TRUE(connection) << connection.error().message;
    Fd fd;
    ASSERT_TRUE(hear(&fd));
  }

  // A client that checks nothing and does what it likes. The result: whether its handshake went through and, after
  // that, a first byte came.
  struct Stranger {
    const PoolDir* shows = nullptr;  // the user's certificate there
    int version = TLS1_3_VERSION;
    std::string alpn{kAlpnSession};
    std::string from = "127.0.0.1";
  };
  bool gets_in(const Stranger& who) {
    Fd fd = connect_from(who.from);
    const ContextPtr context(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_min_proto_version(context.get(), who.version);
    SSL_CTX_set_max_proto_version(context.get(), who.version);
    if (who.shows) {
      SSL_CTX_use_certificate(context.get(), Certificate::read(who.shows->certificate(Role::user))->get());
      SSL_CTX_use_PrivateKey(context.get(), PrivateKey::read(who.shows->key(Role::user))->get());
    }
    const SslPtr ssl(SSL_new(context.get()));
    const std::string alpn = static_cast<char>(who.alpn.size()) + who.alpn;
    if (!who.alpn.empty()) {
      SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(alpn.data()),
                          static_cast<unsigned>(alpn.size()));
    }
    SSL_set_fd(ssl.get(), fd.get());
    char byte;
    const bool in = SSL_connect(ssl.get()) == 1 && SSL_read(ssl.get(), &byte, 1) == 1;
    ERR_clear_error();
    return in;
  }
  Fd connect_from(const std::string& source) {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in from = {}, to = {};
    from.sin_family = to.sin_family = AF_INET;
    ::inet_pton(AF_INET, source.c_str(), &from.sin_addr);
    ::inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    to.sin_port = htons(port_);
    const timeval patience = {.tv_sec = 60, .tv_usec = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&from), sizeof from), 0);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    return fd;
  }
  static TimePoint limit() { return Clock::now() + std::chrono::seconds(60); }

  TestPool pool_;
  GateOptions options_;
  int port_ = 0;
  Fd daemon_, control_, listener_;
  std::thread thread_;
  std::mutex mutex_;
  std::vector<std::string> lines_;
};

}  // namespace nm::identity
