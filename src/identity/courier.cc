#include "identity/courier.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

#include "identity/enrolment.h"
#include "identity/kernel_tls.h"
#include "identity/pump.h"
#include "identity/revocations.h"
#include "wire/handover.h"

namespace nm::identity {
namespace {

constexpr int kLossSeconds = 5;
constexpr Millis kLookForTheEnd{50};

bool is_this_user(int socket) {
  ucred who = {};
  socklen_t size = sizeof who;
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && (who.uid == ::geteuid() || who.uid == 0);
}

void send_sentence(int socket, const std::string& sentence) {
  wire::Handover none;
  wire::put_text(none.sentence, sentence);
  wire::send_handover(socket, none, -1);
}

void serve(int asked, const PoolDir& dir, const wire::Address& server, Millis limit) {
  auto connection = call_server(dir, server, limit);
  if (!connection) return send_sentence(asked, connection.error().message);
  detect_loss(connection->fd(), kLossSeconds);
  // One record, the admission, has come in under the application's keys, and none has gone out.
  if (connection->server_is_kernel() && kernel_has_tls()) {
    if (!give_to_kernel(connection->ssl(), connection->fd(), {.sent = 0, .received = 1})) {
      return send_sentence(asked,
                           "The kernel did not take the keys of a connection. NEARMETAL_KERNEL_TLS=0 does without it.");
    }
    ::fcntl(connection->fd(), F_SETFL, ::fcntl(connection->fd(), F_GETFL) & ~O_NONBLOCK);
    wire::send_handover(asked, {.kind = wire::Handover::session}, connection->fd());
    return;
  }
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return send_sentence(asked, fmt::format("There is no socket for a connection: {}.", strerror(errno)));
  }
  Fd ours(ends[0]), theirs(ends[1]);
  if (!wire::send_handover(asked, {.kind = wire::Handover::session}, theirs.get())) return;
  theirs.reset();  // else its end would not be seen
  PumpOptions options;
  if (connection->server_is_kernel()) options.rekey_after = PumpOptions::kNever;
  pump(connection->take_ssl(), connection->take_fd(), std::move(ours), options);
}

bool has_ended(int fd) {
  pollfd p = {.fd = fd, .events = POLLIN, .revents = 0};
  return fd < 0 || ::poll(&p, 1, 0) > 0;
}

}  // namespace

Result<TlsConnection> call_server(const PoolDir& dir, const wire::Address& server, Millis limit) {
  const TimePoint deadline = Clock::now() + limit;
  const auto settings = read_settings(dir);
  if (!settings) return settings.error();
  if (!dir.has(Role::user)) {
    return Error{
        fmt::format("This user has no certificate in {}. Ask for a token with `nearmetal pool invite --user NAME` "
                    "where the pool was made, and `nearmetal pool join TOKEN` here.",
                    dir.path)};
  }
  // One of a program's threads renews; for the others the old one is good enough, or the new one is there.
  static std::mutex renewing;
  std::string not_renewed;
  if (is_due(dir, Role::user, ::time(nullptr)) && renewing.try_lock()) {
    const auto fresh = keep_fresh(dir, Role::user, ::time(nullptr), limit / 2);
    renewing.unlock();
    if (!fresh) not_renewed = " It could not be renewed: " + fresh.error().message;
  }
  const auto mine = Certificate::read(dir.certificate(Role::user));
  if (!mine) return mine.error();
  if (::time(nullptr) > mine->not_after()) {
    return Error{
        fmt::format("This user's certificate in {} has expired.{} `nearmetal pool join TOKEN` gets a new one; "
                    "`nearmetal pool invite --user NAME` prints a token where the pool was made.",
                    dir.path, not_renewed)};
  }
  const auto context = member_context(dir, Role::user, kAlpnSession);
  if (!context) return context.error();
  auto connection = TlsConnection::open(context->get(), server, settings->id, deadline);
  if (!connection) return connection;
  const auto authority = Certificate::read(dir.authority_certificate());
  if (!authority) return authority.error();
  const auto revoked = Revocations::read(dir, *authority, settings->id);
  if (!revoked) return revoked.error();
  const CertificatePtr theirs(SSL_get1_peer_certificate(connection->ssl()));
  if (revoked->has(serial_of(theirs.get()))) {
    return Error{
        fmt::format("The certificate of the server at {} was revoked. Ask whoever keeps the pool.", server.text())};
  }
  if (auto admitted = connection->await_admission(deadline); !admitted) return admitted.error();
  return connection;
}

void run_courier(CourierOptions options) {
  const auto active = std::make_shared<std::atomic<size_t>>(0);
  for (;;) {
    const bool over = has_ended(options.program.get()) && has_ended(options.life.get());
    if (over && active->load() == 0) return;
    // Of the two that end, the one that still lives is waited for; both gone, the connections are looked at.
    pollfd p[3] = {{options.listener.get(), POLLIN, 0}, {-1, POLLIN, 0}, {-1, POLLIN, 0}};
    if (!has_ended(options.program.get())) {
      p[1].fd = options.program.get();
    } else if (!over) {
      p[2].fd = options.life.get();
    }
    if (::poll(p, 3, over ? static_cast<int>(kLookForTheEnd.count()) : -1) <= 0 || p[0].revents == 0) continue;
    Fd asked(::accept4(options.listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!asked) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) std::this_thread::sleep_for(kLookForTheEnd);
      continue;
    }
    if (!is_this_user(asked.get())) continue;
    active->fetch_add(1);
    try {
      std::thread([asked = std::move(asked), dir = options.dir, server = options.server, limit = options.limit,
                   active] {
        serve(asked.get(), dir, server, limit);
        active->fetch_sub(1);
      }).detach();
    } catch (const std::system_error&) {
      active->fetch_sub(1);  // no thread for it; who asked sees its end
    }
  }
}

}  // namespace nm::identity
