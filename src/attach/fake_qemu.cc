#include "attach/fake_qemu.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

namespace nm::attach {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

FakeQemu::FakeQemu(std::string socket, Temper temper, std::vector<std::string> ports)
    : socket_(std::move(socket)),
      listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      temper_(temper),
      ports_(std::move(ports)) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  socket_.copy(address.sun_path, sizeof address.sun_path - 1);
  ::unlink(socket_.c_str());
  // SAFETY: the family's own structure, of which the kernel is told the size.
  if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener_.get(), 8) != 0) {
    throw std::runtime_error("cannot listen on " + socket_);
  }
  thread_ = std::thread([this] { serve(); });
}

FakeQemu::~FakeQemu() {
  over_ = true;
  thread_.join();
}

void FakeQemu::refuse_additions(const std::string& why) {
  const std::lock_guard lock(mutex_);
  refusal_ = why;
}

std::vector<std::string> FakeQemu::devices() {
  const std::lock_guard lock(mutex_);
  return devices_;
}

std::vector<std::string> FakeQemu::commands() {
  const std::lock_guard lock(mutex_);
  return commands_;
}

void FakeQemu::drop(const std::string& host) {
  const std::lock_guard lock(mutex_);
  std::erase_if(devices_, [&](const std::string& device) { return device.find(host) != std::string::npos; });
}

void FakeQemu::serve() {
  while (!over_ && listener_) {
    pollfd poll = {.fd = listener_.get(), .events = POLLIN};
    if (::poll(&poll, 1, 20) <= 0) continue;
    const Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client) talk(client.get());
  }
}

bool FakeQemu::send(int client, const std::string& text) {
  for (size_t sent = 0; sent < text.size();) {
    const ssize_t got = ::send(client, text.data() + sent, text.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (got > 0) {
      sent += static_cast<size_t>(got);
    } else if (over_) {
      return false;
    } else {
      pollfd poll = {.fd = client, .events = POLLOUT};
      ::poll(&poll, 1, 20);
      if (poll.revents & (POLLERR | POLLHUP)) return false;
    }
  }
  return true;
}

void FakeQemu::talk(int client) {
  const Temper temper = temper_;
  if (temper == Temper::closing) return;
  if (temper == Temper::garbage) send(client, "Welcome to the monitor\n");
  if (temper == Temper::deep) send(client, std::string(100'000, '[') + "\n");
  if (temper == Temper::endless_line) {
    while (send(client, std::string(1 << 16, 'x'))) {
    }
    return;
  }
  if (temper != Temper::no_greeting && !send(client, "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n")) return;
  std::string buffer;
  while (!over_) {
    pollfd poll = {.fd = client, .events = POLLIN};
    if (::poll(&poll, 1, 20) <= 0) continue;
    char bytes[4096];
    const ssize_t got = ::recv(client, bytes, sizeof bytes, 0);
    if (got <= 0) return;
    buffer.append(bytes, static_cast<size_t>(got));
    for (size_t end; (end = buffer.find('\n')) != std::string::npos;) {
      const std::string line = buffer.substr(0, end);
      buffer.erase(0, end + 1);
      if (!answer(client, line)) return;
    }
  }
}

bool FakeQemu::answer(int client, const std::string& line) {
  const Json message = Json::parse(line);
  const std::string command = message["execute"];
  const Json arguments = message.contains("arguments") ? message["arguments"] : Json::object();
  const auto reply = [&](const Json& value) {
    return send(client, Json{{"return", value}, {"id", message["id"]}}.dump() + "\r\n");
  };
  const auto refuse = [&](const std::string& kind, const std::string& why) {
    return send(client, Json{{"error", {{"class", kind}, {"desc", why}}}, {"id", message["id"]}}.dump() + "\r\n");
  };
  const auto event = [&](const char* name, const std::string& id) {
    return send(client, Json{{"event", name}, {"data", {{"device", id}, {"path", "/x/" + id}}}}.dump() + "\r\n");
  };
  const Temper temper = temper_;
  const std::lock_guard lock(mutex_);
  commands_.push_back(command);
  if (command == "qmp_capabilities") return reply(Json::object());
  if (temper == Temper::no_result) return send(client, Json{{"id", message["id"]}}.dump() + "\n");
  if (temper == Temper::wrong_answers) return reply(Json{{"devices", 7}});
  if (temper == Temper::events_forever) {
    while (event("RTC_CHANGE", "x")) {
    }
    return false;
  }
  if (command == "query-pci") {
    Json list = Json::array();
    for (const std::string& port : ports_) {
      Json behind = Json::array();
      for (const std::string& device : devices_) {
        if (device.find(" " + port + " ") != std::string::npos) behind.push_back({{"qdev_id", device}});
      }
      list.push_back({{"qdev_id", port},
                      {"class_info", {{"class", 0x0604}}},
                      {"pci_bridge",
                       {{"bus", {{"prefetchable_range", {{"base", 0x8000000000}, {"limit", 0x80ffffffff}}}}},
                        {"devices", std::move(behind)}}}});
    }
    list.push_back({{"qdev_id", ""}, {"class_info", {{"class", 0x0300}}}});
    return reply(Json::array({Json{{"bus", 0}, {"devices", std::move(list)}}}));
  }
  if (command == "qom-get") return refuse("GenericError", "Property 'pcie-root-port.hotplug' not found");
  if (command == "qom-list") {
    if (!going_.empty() && ++looks_ >= 3) {
      std::erase_if(devices_, [&](const std::string& device) { return device.starts_with(going_ + " "); });
      going_.clear();
    }
    Json list = Json::array({Json{{"name", "type"}, {"type", "string"}}});
    for (const std::string& port : ports_) list.push_back({{"name", port}, {"type", "child<pcie-root-port>"}});
    for (const std::string& device : devices_) {
      list.push_back({{"name", device.substr(0, device.find(' '))}, {"type", "child<vfio-pci>"}});
    }
    return reply(list);
  }
  if (command == "device_add") {
    if (!refusal_.empty()) return refuse("GenericError", refusal_);
    devices_.push_back(fmt::format("{} {} {} {} {}", arguments["id"].get<std::string>(),
                                   arguments["host"].get<std::string>(), arguments["bus"].get<std::string>(),
                                   arguments["addr"].get<std::string>(), arguments.value("multifunction", false)));
    return reply(Json::object());
  }
  if (command == "device_del") {
    const std::string id = arguments["id"];
    if (temper == Temper::dying) {
      listener_.reset();
      return false;
    }
    if (temper == Temper::slow) going_ = id, looks_ = 0;
    if (temper == Temper::willing) {
      std::erase_if(devices_, [&](const std::string& device) { return device.starts_with(id + " "); });
    }
    if (!reply(Json::object())) return false;
    if (temper == Temper::refusing) return event("DEVICE_UNPLUG_GUEST_ERROR", id);
    if (temper == Temper::willing) return event("DEVICE_DELETED", id);
    return true;
  }
  return refuse("CommandNotFound", "The command " + command + " has not been found");
}

}  // namespace nm::attach
