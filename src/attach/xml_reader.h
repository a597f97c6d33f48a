// Reads what libvirt writes: well-formed XML, of which a few elements are of interest. No entities of its own making,
// no DTD, no memory of what is skipped. Text that is no XML ends the reading, and says so.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace nm::attach {

class XmlReader {
 public:
  explicit XmlReader(std::string_view text) : rest_(text) {}

  // On to the next element's beginning or end. False: there is none, or what is there is no XML (then broken()).
  bool next();

  bool begins() const { return begins_; }                // an element begins here; else it ends
  const std::string& name() const { return name_; }      // of the element that begins or ends
  const std::string& path() const { return path_; }      // "domain/devices/hostdev", with this element
  const std::string& text() const { return text_; }      // at an end: what stood in it before, unescaped
  std::string attribute(const std::string& name) const;  // of the beginning; empty: there is none
  bool broken() const { return broken_; }

 private:
  bool fail() { return broken_ = true, false; }
  bool skip_past(std::string_view end);
  bool take_tag(std::string_view tag);

  std::string_view rest_;
  std::vector<std::string> open_;
  std::map<std::string, std::string> attributes_;
  std::string name_, path_, text_;
  bool begins_ = false, broken_ = false;
  bool ends_at_once_ = false;  // <tag/>: its end comes next
};

// "&lt;" and its like, and numbers; what is none stays as it is.
std::string xml_unescaped(std::string_view text);

}  // namespace nm::attach
