// One thing done to the host or to a guest, which can be taken back.
//
// A step is made from values and can be written down as values (`record`), because it may have to be undone by another
// process than the one that did it: after a crash, or at `nearmetal detach` a week later. So it keeps no descriptor, no
// connection and no pointer; what it needs to know about the time before, it was told when it was made.
//
// `perform` and `undo` both bring about a state, and both may find it half or wholly there: a process may have been
// killed in the middle of either. Whatever they find, they go on from there.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "attach/system.h"
#include "base/result.h"

namespace nm::attach {

using Json = nlohmann::ordered_json;

// What a step may use, and for how long it may wait.
struct Context {
  System& system;
  Millis kernel{10'000};  // for the kernel to answer a write
  Millis guest{60'000};   // for a guest to let go
  bool heed = true;       // Ctrl-C; not while undoing
  bool stopped() const { return heed && system.interrupted(); }
};

class Step {
 public:
  virtual ~Step() = default;
  virtual std::string_view kind() const = 0;  // "bind": stable, it stands in journals
  virtual Json record() const = 0;            // the rest of it, for whoever makes it again

  // "Bind 0000:65:00.0 to vfio-pci". No full stop.
  virtual std::string title() const = 0;
  virtual std::string undo_title() const = 0;
  // What a careful administrator would type; a line that begins with '#' is something to look at. May be empty.
  virtual std::vector<std::string> commands() const = 0;
  virtual std::vector<std::string> undo_commands() const = 0;

  // What it does is there again after the host's next start: a line in a guest's definition, say. Of a step that does
  // not, nothing is left to undo then.
  virtual bool survives_boot() const { return false; }

  virtual Result<void> perform(Context& context) = 0;
  virtual Result<void> undo(Context& context) = 0;
  // Look again, independently of what perform or undo saw. Both are asked right after it, never in the middle.
  virtual Result<void> verify(Context& context) = 0;
  virtual Result<void> verify_undone(Context& context) = 0;
};

using Steps = std::vector<std::unique_ptr<Step>>;

// The same step the other way round: what `detach` does is to undo what `attach` did.
std::unique_ptr<Step> reversed(std::unique_ptr<Step> step);
// All of them, the last one first.
Steps reversed(Steps steps);

// {"kind": ..., "record": ...}; of a reversed step {"undo": {...}}.
Json to_json(const Step& step);
Json to_json(const Steps& steps);

// "echo TEXT > PATH"
std::string echo_command(const std::string& text, const std::string& path);
// A word as a shell must have it, quoted only where needed.
std::string shell_word(const std::string& word);

}  // namespace nm::attach
