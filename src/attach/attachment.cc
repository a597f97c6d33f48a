#include "attach/attachment.h"

#include "inventory/pci.h"
#include "inventory/reader.h"

namespace nm::attach {
namespace {

constexpr std::string_view kVerbs[] = {"attach", "move", "detach", "release"};
constexpr std::string_view kPhases[] = {"waiting", "doing", "done", "undoing", "undone"};

template <typename T, size_t N>
T from_word(const std::string& text, const std::string_view (&words)[N]) {
  for (size_t i = 0; i < N; ++i) {
    if (words[i] == text) return static_cast<T>(i);
  }
  throw std::runtime_error("\"" + inventory::clean(text, 40) + "\" is not a word that stands there");
}

PciAddress address_of(const Json& json) {
  const auto address = inventory::parse_pci_address(json.get<std::string>());
  if (!address) throw std::runtime_error("\"" + inventory::clean(json.get<std::string>(), 40) + "\" is no PCI address");
  return *address;
}

Json to_json(const StuckWriter& writer) {
  return {{"pid", writer.pid}, {"started", writer.started}, {"path", writer.path}};
}

template <typename T>
Json list_of(const std::vector<T>& values) {
  Json list = Json::array();
  for (const T& value : values) list.push_back(to_json(value));
  return list;
}

std::vector<FunctionState> function_states_of(const Json& json) {
  std::vector<FunctionState> states;
  for (const Json& item : json) states.push_back(function_state_of(item));
  return states;
}

std::vector<PciAddress> addresses_of(const Json& json) {
  std::vector<PciAddress> addresses;
  for (const Json& item : json) addresses.push_back(address_of(item));
  return addresses;
}

}  // namespace

std::string_view word(Verb verb) { return kVerbs[static_cast<size_t>(verb)]; }
std::string_view word(Phase phase) { return kPhases[static_cast<size_t>(phase)]; }
Phase phase_of(const std::string& text) { return from_word<Phase>(text, kPhases); }

FunctionState read_function_state(const inventory::Host& host, const PciAddress& address) {
  inventory::Reader reader(host);
  const std::string directory = inventory::device_directory(address) + "/";
  FunctionState state{.address = address, .driver = reader.link_name(directory + "driver")};
  state.override = reader.text(directory + "driver_override").value_or("");
  if (state.override == "(null)") state.override.clear();
  if (host.exists(directory + "sriov_numvfs"))
    state.virtual_functions = reader.number<uint32_t>(directory + "sriov_numvfs");
  return state;
}

Json to_json(const FunctionState& state) {
  return {{"address", state.address.text()},
          {"driver", state.driver},
          {"override", state.override},
          {"virtual_functions", state.virtual_functions ? Json(*state.virtual_functions) : Json()}};
}

FunctionState function_state_of(const Json& json) {
  FunctionState state{.address = address_of(json.at("address"))};
  json.at("driver").get_to(state.driver);
  json.at("override").get_to(state.override);
  if (!json.at("virtual_functions").is_null()) state.virtual_functions = json.at("virtual_functions").get<uint32_t>();
  return state;
}

Json to_json(const Attachment& attachment) {
  Json functions = Json::array();
  for (const PciAddress& address : attachment.functions) functions.push_back(address.text());
  return {{"gpu", attachment.gpu.text()},
          {"functions", std::move(functions)},
          {"backend", attachment.backend},
          {"guest", attachment.guest},
          {"guest_id", attachment.guest_id},
          {"persistent", attachment.persistent},
          {"before", list_of(attachment.before)},
          {"host_steps", attachment.host_steps},
          {"guest_steps", attachment.guest_steps},
          {"boot", attachment.boot},
          {"since", attachment.since}};
}

Attachment attachment_of(const Json& json) {
  Attachment attachment{.gpu = address_of(json.at("gpu"))};
  attachment.functions = addresses_of(json.at("functions"));
  json.at("backend").get_to(attachment.backend);
  json.at("guest").get_to(attachment.guest);
  json.at("guest_id").get_to(attachment.guest_id);
  json.at("persistent").get_to(attachment.persistent);
  attachment.before = function_states_of(json.at("before"));
  attachment.host_steps = json.at("host_steps");
  attachment.guest_steps = json.at("guest_steps");
  json.at("boot").get_to(attachment.boot);
  json.at("since").get_to(attachment.since);
  return attachment;
}

Json to_json(const Operation& operation) {
  return {{"verb", word(operation.verb)},
          {"gpu", operation.gpu.text()},
          {"locks", operation.locks},
          {"functions", list_of(operation.functions)},
          {"before", operation.before ? to_json(*operation.before) : Json()},
          {"after", operation.after ? to_json(*operation.after) : Json()},
          {"steps", operation.steps},
          {"pid", operation.pid},
          {"pid_started", operation.pid_started},
          {"boot", operation.boot},
          {"stuck", list_of(operation.stuck)},
          {"trouble", operation.trouble}};
}

Operation operation_of(const Json& json) {
  Operation operation{.verb = from_word<Verb>(json.at("verb").get<std::string>(), kVerbs),
                      .gpu = address_of(json.at("gpu"))};
  json.at("locks").get_to(operation.locks);
  operation.functions = function_states_of(json.at("functions"));
  if (!json.at("before").is_null()) operation.before = attachment_of(json.at("before"));
  if (!json.at("after").is_null()) operation.after = attachment_of(json.at("after"));
  operation.steps = json.at("steps");
  json.at("pid").get_to(operation.pid);
  json.at("pid_started").get_to(operation.pid_started);
  json.at("boot").get_to(operation.boot);
  for (const Json& item : json.at("stuck")) {
    operation.stuck.push_back({.pid = item.at("pid").get<pid_t>(),
                               .started = item.at("started").get<uint64_t>(),
                               .path = item.at("path").get<std::string>()});
  }
  json.at("trouble").get_to(operation.trouble);
  return operation;
}

}  // namespace nm::attach
