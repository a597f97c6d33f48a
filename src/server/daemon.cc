#include "server/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <unordered_map>

#include "base/log.h"
#include "base/version.h"
#include "server/daemon_env.h"
#include "server/daemon_hello.h"
#include "server/daemon_listen.h"
#include "server/daemon_notify.h"
#include "server/daemon_status.h"

namespace nm::server {
namespace {

// Connections that have no worker yet. Above it, the kernel's backlog holds the others.
constexpr size_t kMaxPending = 1024;
constexpr Millis kLinger{1'000};          // for a refused client to read why
constexpr Millis kAnswerPatience{5'000};  // with somebody who asked and does not read
constexpr int kMaxAnswers = 32;           // on their way at the same time
constexpr Millis kAcceptPause{100};       // when descriptors have run out
constexpr Millis kGraceAfterTerm{2'000};  // between SIGTERM and SIGKILL to workers

struct Connection {
  Fd fd;
  Peer peer;
  HelloReader reader;
  wire::Token token;  // of the session that it is to become
  WorkerPool::RequestId request = 0;
  Loop::TimerId deadline = 0;
  StatusAnswer answer;  // what is still to be sent of one
};

struct Session {
  WorkerPool::WorkerId worker;
  Peer peer;
  TimePoint since;
  std::string program;
  uint32_t claimed_pid;
  bool nvml;
};

struct TokenHash {
  size_t operator()(const wire::Token& token) const { return token.words[0] ^ token.words[1]; }
};

class Daemon {
 public:
  explicit Daemon(const DaemonOptions& options)
      : options_(options),
        env_(options.pool.env, own_tree()),
        pool_(loop_, pool_options(), [this](auto id, auto& end) { on_worker_end(id, end); }),
        gate_(loop_, options.gate, [this](const auto& handover, Fd fd) { let_in(handover, std::move(fd)); }) {}

  Result<void> run();

 private:
  PoolOptions pool_options() const {
    PoolOptions pool = options_.pool;
    pool.env = env_.own();
    return pool;
  }
  Result<void> open_listeners();
  Result<void> open_gate();
  Result<void> watch_signals();
  void on_signal();
  void drain();
  void stop_workers();
  void stop_if_empty();

  void set_accepting(bool accepting);
  void accept_all(const Listener& listener);
  void let_in(const wire::Handover& handover, Fd fd);
  void greet(Fd fd, Peer peer);
  void on_hello_bytes(int fd, uint32_t events);
  void dispatch(Connection& connection);
  void begin_session(Connection& connection);
  void on_worker(int fd, WorkerPool::WorkerId worker);
  void join_session(Connection& connection);
  void answer_status(Connection& connection);
  void send_answer(Connection& connection);
  wire::ServerStatus status() const;
  void refuse(Connection& connection, wire::Status status, const std::string& sentence);
  void linger(Connection& connection);
  void drop(int fd);
  void on_worker_end(WorkerPool::WorkerId worker, const ExitStatus& end);

  const DaemonOptions options_;
  const WorkerEnv env_;
  Loop loop_;
  Fd signals_;
  std::vector<Listener> listeners_;
  bool accepting_ = false;
  bool draining_ = false;
  const TimePoint started_ = Clock::now();
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;  // without a worker, by descriptor
  std::unordered_map<wire::Token, Session, TokenHash> sessions_;
  std::unordered_map<WorkerPool::WorkerId, wire::Token> tokens_;
  WorkerPool pool_;
  GateKeeper gate_;
};

// Every session costs the daemon two descriptors; the usual soft limit of 1024 would be the first wall.
void raise_descriptor_limit() {
  rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Result<void> Daemon::run() {
  raise_descriptor_limit();
  if (auto opened = open_listeners(); !opened) return opened.error();
  if (auto watched = watch_signals(); !watched) return watched.error();
  if (auto opened = open_gate(); !opened) return opened.error();
  pool_.fill();
  set_accepting(true);
  for (const Listener& listener : listeners_) log::info("Listening on " + listener.address().text() + ".");
  notify_service_manager("READY=1");
  loop_.run();
  log::info("Stopped.");
  return {};
}

Result<void> Daemon::open_listeners() {
  for (const wire::Address& address : options_.listen) {
    if (address.tls && options_.gate.gate.empty()) {
      return Error{fmt::format("Cannot listen on {}: this host has no certificate.", address.text())};
    }
    auto made = listen_on(address, options_.group);
    if (!made) return made.error();
    for (Listener& listener : *made) listeners_.push_back(std::move(listener));
  }
  return {};
}

// After the signals are watched: the gate must not be born with ours blocked and nobody to end it.
Result<void> Daemon::open_gate() {
  std::vector<int> encrypted;
  for (const Listener& listener : listeners_) {
    if (listener.address().tls) encrypted.push_back(listener.fd());
  }
  if (encrypted.empty()) return {};
  return gate_.start(std::move(encrypted));
}

Result<void> Daemon::watch_signals() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return Error{fmt::format("Cannot watch for signals: {}.", strerror(errno))};
  loop_.watch(signals_.get(), EPOLLIN, [this](uint32_t) { on_signal(); });
  return {};
}

void Daemon::on_signal() {
  signalfd_siginfo info;
  if (::read(signals_.get(), &info, sizeof info) != sizeof info) return;
  if (draining_) {
    log::warn("Asked again to stop: ending the remaining sessions now.");
    return stop_workers();
  }
  drain();
}

void Daemon::drain() {
  draining_ = true;
  notify_service_manager("STOPPING=1");
  set_accepting(false);
  gate_.close();
  listeners_.clear();
  log::info(fmt::format("Stopping: {} session(s) have up to {} s to end.", sessions_.size(),
                        options_.drain.count() / 1000.0));
  pool_.close();
  loop_.after(options_.drain, [this] { stop_workers(); });
  loop_.after(Millis(0), [this] { stop_if_empty(); });
}

void Daemon::stop_workers() {
  pool_.signal_all(SIGTERM);
  loop_.after(kGraceAfterTerm, [this] { pool_.signal_all(SIGKILL); });
}

void Daemon::stop_if_empty() {
  if (draining_ && pool_.size() == 0 && pool_.waiting() == 0) loop_.stop();
}

void Daemon::set_accepting(bool accepting) {
  if (accepting_ == accepting || (accepting && draining_)) return;
  accepting_ = accepting;
  gate_.pause(!accepting);
  for (const Listener& listener : listeners_) {
    if (listener.address().tls) continue;  // the gate's
    if (accepting) {
      loop_.watch(listener.fd(), EPOLLIN, [this, &listener](uint32_t) { accept_all(listener); });
    } else {
      loop_.forget(listener.fd());
    }
  }
}

void Daemon::accept_all(const Listener& listener) {
  while (connections_.size() < kMaxPending) {
    Fd fd(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN) return;
      log::warn(fmt::format("Cannot accept a connection: {}. Trying again shortly.", strerror(errno)));
      set_accepting(false);
      loop_.after(kAcceptPause, [this] { set_accepting(true); });
      return;
    }
    const int on = 1;
    if (listener.address().kind == wire::Address::Kind::tcp) {
      ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    Peer peer = peer_of(fd.get(), listener.address());
    greet(std::move(fd), std::move(peer));
  }
  set_accepting(false);  // drop() opens again
}

// The gate has shaken hands with it: from here on it is a connection as any other.
void Daemon::let_in(const wire::Handover& handover, Fd fd) {
  if (draining_) return;
  ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
  Peer peer;
  peer.from = wire::plain_text(wire::text_in(handover.from));
  peer.member = wire::plain_text(wire::text_in(handover.peer));
  peer.text = fmt::format("{} at {}", peer.member, peer.from);
  greet(std::move(fd), std::move(peer));
  if (connections_.size() >= kMaxPending) set_accepting(false);
}

void Daemon::greet(Fd fd, Peer peer) {
  const int number = fd.get();
  auto connection = std::make_unique<Connection>();
  connection->peer = std::move(peer);
  connection->fd = std::move(fd);
  connection->deadline = loop_.after(options_.hello_timeout, [this, number] {
    refuse(*connections_.at(number), wire::Status::refused, "The Hello did not arrive in time.");
  });
  connections_.emplace(number, std::move(connection));
  loop_.watch(number, EPOLLIN, [this, number](uint32_t events) { on_hello_bytes(number, events); });
}

void Daemon::on_hello_bytes(int fd, uint32_t) {
  Connection& connection = *connections_.at(fd);
  char bytes[sizeof(wire::Hello) + wire::kMaxEnv];
  for (;;) {
    const ssize_t got = ::recv(fd, bytes, std::min(connection.reader.wanted(), sizeof bytes), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return drop(fd);
    switch (connection.reader.feed(bytes, static_cast<size_t>(got))) {
      case HelloReader::State::need_more:
        continue;
      case HelloReader::State::complete:
        return dispatch(connection);
      case HelloReader::State::refused: {
        const Refusal refusal = connection.reader.refusal();
        if (refusal.status != wire::Status::ok) return refuse(connection, refusal.status, refusal.sentence);
        log::warn(fmt::format("Dropped a connection ({}): {}", connection.peer.text, refusal.sentence));
        return drop(fd);
      }
    }
  }
}

void Daemon::dispatch(Connection& connection) {
  loop_.cancel(connection.deadline);
  switch (connection.reader.client().hello.purpose) {
    case wire::Purpose::cuda:
    case wire::Purpose::nvml:
      return begin_session(connection);
    case wire::Purpose::events:
    case wire::Purpose::lane:
      return join_session(connection);
    case wire::Purpose::status:
      return answer_status(connection);
  }
}

// Nothing of it is kept: who wants to know more asks again.
void Daemon::answer_status(Connection& connection) {
  const auto busy = std::count_if(connections_.begin(), connections_.end(),
                                  [](const auto& entry) { return entry.second->answer.under_way(); });
  if (busy >= kMaxAnswers) {
    return refuse(connection, wire::Status::refused, "The server is telling too many others already. Ask again.");
  }
  connection.answer = StatusAnswer(status());
  const int fd = connection.fd.get();
  connection.deadline = loop_.after(kAnswerPatience, [this, fd] { drop(fd); });
  loop_.forget(fd);
  loop_.watch(fd, EPOLLOUT, [this, fd](uint32_t) { send_answer(*connections_.at(fd)); });
  send_answer(connection);  // mostly, all of it goes now
}

void Daemon::send_answer(Connection& connection) {
  switch (connection.answer.send_some(connection.fd.get())) {
    case StatusAnswer::State::under_way:
      return;
    case StatusAnswer::State::sent:
      ::shutdown(connection.fd.get(), SHUT_WR);
      return linger(connection);
    case StatusAnswer::State::failed:
      return drop(connection.fd.get());
  }
}

wire::ServerStatus Daemon::status() const {
  wire::ServerStatus out = {.clock_us = in_us(Clock::now().time_since_epoch()),
                      .uptime_us = in_us(Clock::now() - started_),
                      .sessions_in_all = sessions_.size(),
                      .max_sessions = options_.max_sessions,
                      .gpus = pool_.offered(),
                      .sessions = {}};
  for (const auto& [token, session] : sessions_) {
    const WorkerPage* page = pool_.page(session.worker);
    if (!page) continue;
    wire::SessionStatus& s = out.sessions.emplace_back();
    s.id = token.words[0];
    s.program = session.program;
    s.from = session.peer.from;
    s.local = session.peer.local;
    s.nvml = session.nvml;
    s.pid = s.local ? session.peer.pid : session.claimed_pid;
    s.uid = session.peer.uid;
    s.age_us = in_us(Clock::now() - session.since);
    s.worker_pid = static_cast<uint64_t>(pool_.pid(session.worker));
    s.worker_cpu_us = cpu_time_us(pool_.pid(session.worker));
    page->read(s);
    page->add_held(out.gpus);
  }
  keep_busiest(out);
  return out;
}

void Daemon::begin_session(Connection& connection) {
  if (draining_) return refuse(connection, wire::Status::refused, "The server is shutting down.");
  if (options_.max_sessions != 0 && sessions_.size() + pool_.waiting() >= options_.max_sessions) {
    return refuse(connection, wire::Status::refused,
                  fmt::format("The server has reached its limit of {} session(s). Try again when one has ended, or "
                              "raise --max-sessions.",
                              options_.max_sessions));
  }
  if (options_.admit && !connection.peer.member.empty()) {
    const wire::Hello& hello = connection.reader.client().hello;
    const auto admitted =
        options_.admit(connection.peer.member, connection.peer.from,
                       wire::plain_text({hello.program, ::strnlen(hello.program, sizeof hello.program)}));
    if (!admitted) return refuse(connection, wire::Status::refused, admitted.error().message);
  }
  if (::getrandom(&connection.token, sizeof connection.token, 0) != sizeof connection.token) {
    return refuse(connection, wire::Status::refused, "The server's host gives no random numbers.");
  }
  const int fd = connection.fd.get();
  const ClientHello& client = connection.reader.client();
  WorkerKind kind = {.cuda = client.hello.purpose == wire::Purpose::cuda, .env = env_.significant(client.env)};
  connection.request = pool_.request(std::move(kind), [this, fd](Result<WorkerPool::WorkerId> worker) {
    if (worker) return on_worker(fd, *worker);
    refuse(*connections_.at(fd), wire::Status::refused, worker.error().message);
  });
  // From here on only its going away matters; what it may send already is its worker's to read.
  loop_.forget(fd);
  loop_.watch(fd, EPOLLRDHUP, [this, fd](uint32_t) { drop(fd); });
}

void Daemon::on_worker(int fd, WorkerPool::WorkerId worker) {
  Connection& connection = *connections_.at(fd);
  connection.request = 0;
  Assignment assignment = {.hello = connection.reader.client().hello, .is_far = !connection.peer.member.empty()};
  const wire::Token token = connection.token;
  assignment.hello.token = token;
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);  // the worker gets a blocking socket
  // Known as a session from now on: if the worker has died this moment, its end is reported as the session's.
  const wire::Hello& hello = assignment.hello;
  sessions_[token] = {.worker = worker,
                      .peer = connection.peer,
                      .since = Clock::now(),
                      .program = wire::plain_text({hello.program, ::strnlen(hello.program, sizeof hello.program)}),
                      .claimed_pid = hello.pid,
                      .nvml = hello.purpose == wire::Purpose::nvml};
  tokens_[worker] = token;
  log::info(fmt::format("Session {} begins: {}, worker {}, client's own pid {}.", session_name(token), connection.peer.text,
                        pool_.pid(worker), assignment.hello.pid));
  if (auto given = pool_.assign(worker, assignment, fd); !given) {
    return refuse(connection, wire::Status::refused, given.error().message);
  }
  drop(fd);
}

void Daemon::join_session(Connection& connection) {
  const wire::Hello& hello = connection.reader.client().hello;
  const auto session = sessions_.find(hello.token);
  // A token that somebody else has come by opens nothing.
  if (session == sessions_.end() || session->second.peer.member != connection.peer.member) {
    return refuse(connection, wire::Status::unknown_session, "The session that this connection wants to join is over.");
  }
  const int fd = connection.fd.get();
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  if (auto given = pool_.assign(session->second.worker, Assignment{.hello = hello, .is_far = !connection.peer.member.empty()}, fd); !given) {
    return refuse(connection, wire::Status::refused, given.error().message);
  }
  drop(fd);
}

void Daemon::refuse(Connection& connection, wire::Status status, const std::string& sentence) {
  log::warn(fmt::format("Refused a connection ({}): {}", connection.peer.text, sentence));
  const std::string welcome = encode_welcome(status, {}, sentence);
  // At most some 4 KiB into an empty socket buffer: it fits, or the peer is not worth waiting for.
  ::send(connection.fd.get(), welcome.data(), welcome.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  ::shutdown(connection.fd.get(), SHUT_WR);
  linger(connection);
}

// Closing while unread bytes lie in the socket would reset the connection and could take the sentence with it.
void Daemon::linger(Connection& connection) {
  const int fd = connection.fd.get();
  if (connection.request != 0) pool_.cancel(std::exchange(connection.request, 0));
  loop_.cancel(connection.deadline);
  connection.deadline = loop_.after(kLinger, [this, fd] { drop(fd); });
  loop_.forget(fd);
  loop_.watch(fd, EPOLLIN | EPOLLRDHUP, [this, fd](uint32_t) {
    char discarded[4096];
    const ssize_t got = ::recv(fd, discarded, sizeof discarded, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) drop(fd);
  });
  stop_if_empty();
}

void Daemon::drop(int fd) {
  const auto node = connections_.extract(fd);
  Connection& connection = *node.mapped();
  loop_.cancel(connection.deadline);
  loop_.forget(fd);
  if (connection.request != 0) pool_.cancel(connection.request);
  set_accepting(true);
}

void Daemon::on_worker_end(WorkerPool::WorkerId worker, const ExitStatus& end) {
  const auto token = tokens_.extract(worker);
  if (token) {
    const auto node = sessions_.extract(token.mapped());
    const Session& session = node.mapped();
    const double seconds = std::chrono::duration<double>(Clock::now() - session.since).count();
    const std::string name = session_name(token.mapped());
    if (end.clean()) {
      log::info(fmt::format("Session {} ended after {:.1f} s.", name, seconds));
    } else {
      log::error(fmt::format("Session {} ({}) ended abnormally after {:.1f} s: its worker {}.", name, session.peer.text,
                             seconds, end.describe()));
    }
  }
  stop_if_empty();
}

}  // namespace

Result<void> serve(const DaemonOptions& options) { return Daemon(options).run(); }

}  // namespace nm::server
