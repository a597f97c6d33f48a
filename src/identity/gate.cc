#include "identity/gate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <list>
#include <map>
#include <memory>
#include <thread>

#include "identity/kernel_tls.h"
#include "identity/log_once.h"
#include "identity/pump.h"
#include "identity/revocations.h"
#include "identity/tls.h"
#include "wire/handover.h"

namespace nm::identity {
namespace {

constexpr Millis kLookAgain{1'000};  // at certificate and revocations, for newer ones
constexpr Millis kAcceptPause{100};  // when descriptors have run out
constexpr int kLossSeconds = 15;
constexpr int kAcceptsAtOnce = 64;  // then those whose handshakes are under way have their turn

// What a handshake is checked against. Loaded anew when a file of it has changed.
struct Material {
  ContextPtr context;
  std::string pool;
  Revocations revoked;
};

Result<Material> load(const PoolDir& dir) {
  const auto settings = read_settings(dir);
  if (!settings) return settings.error();
  if (!dir.has(Role::host)) {
    return Error{
        fmt::format("This host has no certificate in {}. Ask for a token with `nearmetal pool invite --host NAME` "
                    "where the pool was made, and `nearmetal pool join TOKEN` here.",
                    dir.path)};
  }
  const auto authority = Certificate::read(dir.authority_certificate());
  if (!authority) return authority.error();
  auto revoked = Revocations::read(dir, *authority, settings->id);
  if (!revoked) return revoked.error();
  auto context = server_context(dir);
  if (!context) return context.error();
  return Material{std::move(*context), settings->id, std::move(*revoked)};
}

std::string state_of(const PoolDir& dir) {
  std::string out;
  for (const std::string& path :
       {dir.certificate(Role::host), dir.key(Role::host), dir.authority_certificate(), dir.settings(), dir.revoked()}) {
    struct stat file = {};
    ::stat(path.c_str(), &file);
    out += fmt::format("{} {} {}.{};", file.st_ino, file.st_size, file.st_mtim.tv_sec, file.st_mtim.tv_nsec);
  }
  return out;
}

// An IPv6 customer has a /64 at least: its addresses count as one.
struct From {
  std::string peer;  // what is counted and logged by
  std::string text;  // "tcp:192.0.2.1:51000"
};
From address_of(const sockaddr_storage& there) {
  char text[INET6_ADDRSTRLEN] = "";
  if (there.ss_family == AF_INET6) {
    auto v6 = reinterpret_cast<const sockaddr_in6&>(there);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    From from = {.peer = text, .text = fmt::format("tcp:[{}]:{}", text, ntohs(v6.sin6_port))};
    if (!IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      memset(v6.sin6_addr.s6_addr + 8, 0, 8);
      ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
      from.peer = text;
    }
    return from;
  }
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(there);
  ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
  return {.peer = text, .text = fmt::format("tcp:{}:{}", text, ntohs(v4.sin_port))};
}

class Gate {
 public:
  Gate(const GateOptions& options, Material material)
      : options_(options),
        material_(std::move(material)),
        state_(state_of(options.dir)),
        log_once_(options.limits.log_every) {}

  void run() {
    while (open_ || connections_->load() > 0) step();
  }

 private:
  struct Half {
    Fd fd;
    SslPtr ssl;
    From from;
    TimePoint deadline;
    short events = POLLIN;
  };

  void step() {
    std::vector<pollfd> polls;
    TimePoint wake = Clock::now() + std::chrono::hours(1);
    if (open_) polls.push_back({options_.control_fd, POLLIN, 0});
    const bool accepts = open_ && Clock::now() >= accept_again_;
    if (open_ && !accepts) wake = accept_again_;
    if (accepts) {
      for (const int fd : options_.listeners) polls.push_back({fd, POLLIN, 0});
    }
    const size_t halves = polls.size();
    for (const Half& half : half_open_) {
      polls.push_back({half.fd.get(), half.events, 0});
      wake = std::min(wake, half.deadline);
    }
    // Nobody wakes us when the last connection ends: then there is nothing to do but to look.
    const Millis most = open_ ? time_left(wake) : std::min(time_left(wake), Millis(50));
    if (::poll(polls.data(), polls.size(), static_cast<int>(most.count())) < 0) return;

    size_t at = halves;
    for (auto half = half_open_.begin(); half != half_open_.end(); at++) {
      const auto next = std::next(half);
      if (polls[at].revents != 0) {
        go_on(half);
      } else if (Clock::now() >= half->deadline) {
        refuse(half, "the handshake was not finished in time");
      }
      half = next;
    }
    if (accepts) {
      for (size_t i = 1; i < halves; i++) {
        if (polls[i].revents != 0) accept_all(polls[i].fd);
      }
    }
    if (open_ && polls[0].revents != 0) close_if_told();
  }

  // The daemon sends nothing; that it closes its end is what it says.
  void close_if_told() {
    char nothing;
    const ssize_t got = ::recv(options_.control_fd, &nothing, 1, MSG_DONTWAIT);
    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) return;
    open_ = false;
    // Who calls now is refused by the kernel, instead of waiting for an answer that does not come.
    for (const int listener : options_.listeners) ::shutdown(listener, SHUT_RDWR);
    half_open_.clear();
    per_peer_.clear();
  }

  void accept_all(int listener) {
    for (int i = 0; i < kAcceptsAtOnce; i++) {
      sockaddr_storage there = {};
      socklen_t size = sizeof there;
      Fd fd(::accept4(listener, reinterpret_cast<sockaddr*>(&there), &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd) {
        if (errno == EINTR || errno == ECONNABORTED) continue;
        if (errno != EAGAIN) {
          warn("", fmt::format("Cannot accept a connection: {}. Trying again shortly.", strerror(errno)));
          accept_again_ = Clock::now() + kAcceptPause;
        }
        return;
      }
      begin(std::move(fd), address_of(there));
    }
  }

  void begin(Fd fd, From from) {
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (per_peer_[from.peer] >= options_.limits.half_open_per_peer) {
      return complain(from, fmt::format("it has {} handshakes under way already", per_peer_[from.peer]));
    }
    if (half_open_.size() >= options_.limits.half_open) {
      refuse(half_open_.begin(), "it was the oldest of too many handshakes under way");
    }
    reload_if_changed();
    SslPtr ssl(SSL_new(material_.context.get()));
    if (!ssl || SSL_set_fd(ssl.get(), fd.get()) != 1) return complain(from, "there is no memory for it");
    SSL_set_accept_state(ssl.get());
    per_peer_[from.peer]++;
    half_open_.push_back({.fd = std::move(fd),
                          .ssl = std::move(ssl),
                          .from = std::move(from),
                          .deadline = Clock::now() + options_.limits.handshake});
  }

  void reload_if_changed() {
    if (Clock::now() < look_again_) return;
    look_again_ = Clock::now() + kLookAgain;
    const std::string state = state_of(options_.dir);
    if (state == state_) return;
    auto fresh = load(options_.dir);
    if (!fresh) return warn("", "Going on with the certificate of before: " + fresh.error().message);
    material_ = std::move(*fresh);
    state_ = state;
  }

  using HalfIt = std::list<Half>::iterator;
  void go_on(HalfIt half) {
    ERR_clear_error();
    errno = 0;
    const int result = SSL_do_handshake(half->ssl.get());
    if (result == 1) return admit(half);
    const int error = SSL_get_error(half->ssl.get(), result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
      half->events = error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
      if (Clock::now() >= half->deadline) refuse(half, "the handshake was not finished in time");
      return;
    }
    refuse(half, handshake_failure(half->ssl.get(), false));
  }

  void admit(HalfIt half) {
    const std::string_view alpn = alpn_of(half->ssl.get());
    // Without ALPN the certificate was asked for and checked all the same; but it is no client of ours.
    if (alpn.empty()) return refuse(half, "it is not a client of nearmetal");
    wire::Handover handover = {.kind = alpn == kAlpnSession ? wire::Handover::session : wire::Handover::enrolment};
    wire::put_text(handover.from, half->from.text);
    if (alpn != kAlpnJoin) {
      const auto peer = peer_of(half->ssl.get(), material_.pool);
      if (!peer) return turn_away(half, peer.error().message);
      const CertificatePtr certificate(SSL_get1_peer_certificate(half->ssl.get()));
      if (material_.revoked.has(serial_of(certificate.get()))) {
        return turn_away(half, fmt::format("The certificate of {} was revoked.", peer->text()));
      }
      wire::put_text(handover.peer, peer->text());
    }
    if (connections_->load() >= options_.limits.connections) {
      return turn_away(half, "The server has too many connections. Try again when some have ended.");
    }
    if (alpn == kAlpnSession &&
        !say(half, encode_admission(kernel_has_tls() ? Admission::kAdmittedByKernel : Admission::kAdmitted, ""))) {
      return refuse(half, "it went away right after the handshake");
    }
    hand_over(half, handover);
  }

  // Some hundred bytes into a new socket: all of it goes, or the peer is not worth waiting for.
  bool say(HalfIt half, const std::string& bytes) {
    ERR_clear_error();
    return SSL_write(half->ssl.get(), bytes.data(), static_cast<int>(bytes.size())) == static_cast<int>(bytes.size());
  }

  void turn_away(HalfIt half, const std::string& sentence) {
    if (alpn_of(half->ssl.get()) == kAlpnSession) say(half, encode_admission(Admission::kRefused, sentence));
    SSL_shutdown(half->ssl.get());
    refuse(half, sentence);
  }

  void hand_over(HalfIt half, const wire::Handover& handover) {
    detect_loss(half->fd.get(), kLossSeconds);
    // One record, the admission, has gone out under the application's keys, and none has come in.
    if (handover.kind == wire::Handover::session && kernel_has_tls()) {
      if (!give_to_kernel(half->ssl.get(), half->fd.get(), {.sent = 1, .received = 0})) {
        return refuse(half, "the kernel did not take its keys");
      }
      if (!wire::send_handover(options_.control_fd, handover, half->fd.get()))
        return refuse(half, "the daemon has gone");
      return forget(half);
    }
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
      return refuse(half, fmt::format("there is no socket for it ({})", strerror(errno)));
    }
    Fd ours(ends[0]), theirs(ends[1]);
    if (!wire::send_handover(options_.control_fd, handover, theirs.get())) return refuse(half, "the daemon has gone");
    connections_->fetch_add(1);
    const auto count = connections_;
    try {
      std::thread([ssl = std::move(half->ssl), network = std::move(half->fd), local = std::move(ours),
                   count]() mutable {
        pump(std::move(ssl), std::move(network), std::move(local));
        count->fetch_sub(1);
      }).detach();
    } catch (const std::system_error& error) {
      connections_->fetch_sub(1);
      complain(half->from, fmt::format("there is no thread for it ({})", error.what()));
    }
    forget(half);
  }

  void refuse(HalfIt half, const std::string& why) {
    complain(half->from, why);
    forget(half);
  }

  void forget(HalfIt half) {
    const auto count = per_peer_.find(half->from.peer);
    if (count != per_peer_.end() && --count->second == 0) per_peer_.erase(count);
    half_open_.erase(half);
  }

  void complain(const From& from, const std::string& why) {
    if (per_peer_[from.peer] == 0) per_peer_.erase(from.peer);
    warn(from.peer, fmt::format("Refused a connection ({}): {}", from.text, why));
  }

  void warn(const std::string& peer, std::string line) {
    const auto passed_over = log_once_.due(peer, Clock::now());
    if (!passed_over) return;
    if (!line.ends_with('.')) line += '.';
    if (*passed_over > 0) line += fmt::format(" (And {} like it since the last line.)", *passed_over);
    options_.warn(line);
  }

  const GateOptions& options_;
  Material material_;
  std::string state_;
  LogOnce log_once_;
  bool open_ = true;
  TimePoint look_again_ = Clock::now() + kLookAgain, accept_again_ = {};
  std::list<Half> half_open_;  // the oldest first
  std::map<std::string, size_t> per_peer_;
  // The threads outlive nothing else of ours.
  std::shared_ptr<std::atomic<size_t>> connections_ = std::make_shared<std::atomic<size_t>>(0);
};

}  // namespace

Result<void> run_gate(const GateOptions& options) {
  auto material = load(options.dir);
  if (!material) return material.error();
  Gate(options, std::move(*material)).run();
  return {};
}

}  // namespace nm::identity
