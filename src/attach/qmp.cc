#include "attach/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>

#include "inventory/reader.h"

namespace nm::attach {
namespace {

constexpr size_t kLongestLine = 4 << 20;  // query-qmp-schema, the longest that a QEMU has, is a tenth of it
constexpr int kDeepest = 64;

// Parsers and destructors recurse as deep as the text does.
bool too_deep(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (quoted) {
      if (text[i] == '\\') ++i;
      if (i < text.size() && text[i] == '"') quoted = false;
      continue;
    }
    if (text[i] == '"') quoted = true;
    if ((text[i] == '{' || text[i] == '[') && ++depth > kDeepest) return true;
    if (text[i] == '}' || text[i] == ']') --depth;
  }
  return false;
}

std::string text_of(const Qmp::Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? inventory::clean(found->get<std::string>(), 500) : "";
}

Fd connect_to(const std::string& path, int& error) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    error = ENAMETOOLONG;
    return Fd();
  }
  path.copy(address.sun_path, path.size());
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // SAFETY: the family's own structure, of which the kernel is told the size.
  if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    error = errno;
    return Fd();
  }
  return socket;
}

bool wait_for(int fd, short what, TimePoint deadline) {
  for (;;) {
    pollfd poll = {.fd = fd, .events = what};
    const int ready = ::poll(&poll, 1, static_cast<int>(time_left(deadline).count()));
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) return false;
  }
}

}  // namespace

Error Qmp::broken(const std::string& why) const {
  return Error{fmt::format("The virtual machine's monitor at {} {}.", path_, why)};
}

bool nobody_listens(const std::string& path) {
  int error = 0;
  const Fd socket = connect_to(path, error);
  return !socket && (error == ECONNREFUSED || error == ENOENT);
}

Result<Qmp> Qmp::connect(const std::string& path, Millis limit) {
  const TimePoint deadline = Clock::now() + limit;
  int error = 0;
  Fd socket = connect_to(path, error);
  if (!socket) {
    // EAGAIN: others wait already.
    const char* next = error == ECONNREFUSED || error == ENOENT
                           ? "Is the virtual machine running, with -qmp unix:PATH,server=on,wait=off?"
                       : error == EAGAIN ? "Other programs wait for it too."
                                         : "Check the path and your rights.";
    return Error{fmt::format("Cannot reach a virtual machine's monitor at {}: {}. {}", path, strerror(error), next)};
  }
  Qmp qmp(path, std::move(socket));
  ucred credentials = {};
  socklen_t size = sizeof credentials;
  if (::getsockopt(qmp.socket_.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) qmp.peer_ = credentials.pid;
  const auto greeting = qmp.line(deadline);
  if (!greeting) return greeting.error();
  if (!*greeting) {
    return qmp.broken(
        fmt::format("has not greeted within {} s. Another program has it, as a rule: end that, or give the "
                    "machine a second -qmp socket",
                    limit.count() / 1000));
  }
  if (!(*greeting)->contains("QMP"))
    return qmp.broken("does not greet as a QMP monitor does; is it the human monitor's?");
  const auto ready = qmp.command("qmp_capabilities", Json::object(), time_left(deadline));
  if (!ready) return ready.error();
  if (!ready->good()) return qmp.broken("refuses to negotiate: " + ready->error);
  return qmp;
}

Result<std::optional<Qmp::Json>> Qmp::line(TimePoint deadline) {
  for (;;) {
    const size_t end = buffer_.find('\n');
    if (end != std::string::npos) {
      const std::string text = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      if (inventory::trimmed(text).empty()) continue;
      if (too_deep(text)) return broken("answers in JSON that is nested too deep");
      Json json = Json::parse(text, nullptr, false);
      if (json.is_discarded() || !json.is_object()) {
        return broken("answers with what is no JSON object: \"" + inventory::clean(text, 60) + "\"");
      }
      return std::optional<Json>(std::move(json));
    }
    if (buffer_.size() > kLongestLine) return broken("answers with a line that does not end");
    if (!wait_for(socket_.get(), POLLIN, deadline)) return std::optional<Json>();
    char bytes[16 << 10];
    const ssize_t got = ::read(socket_.get(), bytes, sizeof bytes);
    if (got == 0) return broken("has closed the connection: the machine ended, or is about to");
    if (got < 0 && errno != EAGAIN && errno != EINTR) return broken(std::string("is lost: ") + strerror(errno));
    if (got > 0) buffer_.append(bytes, static_cast<size_t>(got));
  }
}

Result<void> Qmp::send(const Json& message, TimePoint deadline) {
  const std::string text = message.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  for (size_t sent = 0; sent < text.size();) {
    const ssize_t got = ::send(socket_.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (got > 0) {
      sent += static_cast<size_t>(got);
    } else if (errno == EAGAIN) {
      if (!wait_for(socket_.get(), POLLOUT, deadline)) return broken("does not read what it is told");
    } else if (errno != EINTR) {
      return broken(std::string("is lost: ") + strerror(errno));
    }
  }
  return {};
}

Result<Qmp::Answer> Qmp::command(const std::string& name, const Json& arguments, Millis limit) {
  const TimePoint deadline = Clock::now() + limit;
  const uint64_t id = next_id_++;
  Json message = {{"execute", name}, {"id", id}};
  if (!arguments.empty()) message["arguments"] = arguments;
  if (auto sent = send(message, deadline); !sent) return sent.error();
  for (size_t lines = 0; lines < 100'000; ++lines) {
    auto got = line(deadline);
    if (!got) return got.error();
    if (!*got) return broken(fmt::format("has not answered {} within {} s", name, limit.count() / 1000));
    Json& json = **got;
    if (json.contains("event")) {
      events_.push_back(
          {.name = text_of(json, "event"), .data = json.contains("data") ? json["data"] : Json::object()});
      if (events_.size() > 10'000) events_.pop_front();
      continue;
    }
    // An answer to a command that we gave up waiting for may still come.
    if (!json.contains("id") || json["id"] != Json(id)) continue;
    if (json.contains("return")) return Answer{.value = std::move(json["return"])};
    if (json.contains("error") && json["error"].is_object()) {
      Answer answer{.error_class = text_of(json["error"], "class"), .error = text_of(json["error"], "desc")};
      if (answer.error_class.empty()) answer.error_class = "GenericError";
      if (answer.error.empty()) answer.error = "it does not say why";
      return answer;
    }
    return broken(fmt::format("answers {} with neither a result nor an error", name));
  }
  return broken("sends events without end");
}

Result<std::optional<Qmp::Event>> Qmp::event(Millis limit) {
  const TimePoint deadline = Clock::now() + limit;
  for (;;) {
    if (!events_.empty()) {
      Event event = std::move(events_.front());
      events_.pop_front();
      return std::optional<Event>(std::move(event));
    }
    auto got = line(deadline);
    if (!got) return got.error();
    if (!*got) return std::optional<Event>();
    Json& json = **got;
    if (json.contains("event")) {
      events_.push_back(
          {.name = text_of(json, "event"), .data = json.contains("data") ? json["data"] : Json::object()});
    }
  }
}

}  // namespace nm::attach
