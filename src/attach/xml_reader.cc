#include "attach/xml_reader.h"

#include <cstdint>

#include "base/number.h"

namespace nm::attach {
namespace {

constexpr size_t kDeepest = 100;
constexpr std::string_view kBlank = " \t\r\n";

void append_utf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  }
}

bool append_entity(std::string& out, std::string_view name) {
  constexpr std::pair<std::string_view, char> kNamed[] = {
      {"lt", '<'}, {"gt", '>'}, {"amp", '&'}, {"quot", '"'}, {"apos", '\''}};
  for (const auto& [known, character] : kNamed) {
    if (name == known) return out += character, true;
  }
  if (!name.starts_with('#')) return false;
  name.remove_prefix(1);
  const bool hexadecimal = name.starts_with('x');
  if (hexadecimal) name.remove_prefix(1);
  uint32_t code = 0;
  if (!take_number(&name, &code, hexadecimal ? 16 : 10) || !name.empty() || code == 0 || code > 0x10ffff) return false;
  append_utf8(out, code);
  return true;
}

std::string_view without_blanks(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlank);
  return first == text.npos ? std::string_view() : text.substr(first);
}

}  // namespace

std::string xml_unescaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t end = text[0] == '&' ? text.substr(0, 12).find(';') : text.npos;
    if (end != text.npos && append_entity(out, text.substr(1, end - 1))) {
      text.remove_prefix(end + 1);
    } else {
      out += text[0];
      text.remove_prefix(1);
    }
  }
  return out;
}

std::string XmlReader::attribute(const std::string& name) const {
  const auto found = attributes_.find(name);
  return found == attributes_.end() ? "" : found->second;
}

bool XmlReader::skip_past(std::string_view end) {
  const size_t at = rest_.find(end);
  if (at == rest_.npos) return fail();
  rest_.remove_prefix(at + end.size());
  return true;
}

// Between < and >, without / at its end: a name and attributes.
bool XmlReader::take_tag(std::string_view tag) {
  const size_t length = std::min(tag.find_first_of(kBlank), tag.size());
  name_ = tag.substr(0, length);
  attributes_.clear();
  if (name_.empty()) return fail();
  for (tag = without_blanks(tag.substr(length)); !tag.empty(); tag = without_blanks(tag)) {
    const size_t equals = tag.find('=');
    if (equals == tag.npos || equals + 1 >= tag.size()) return fail();
    const char quote = tag[equals + 1];
    const size_t end = tag.find(quote, equals + 2);
    if ((quote != '"' && quote != '\'') || end == tag.npos) return fail();
    attributes_[std::string(tag.substr(0, equals))] = xml_unescaped(tag.substr(equals + 2, end - equals - 2));
    tag.remove_prefix(end + 1);
  }
  return true;
}

bool XmlReader::next() {
  if (broken_) return false;
  if (begins_ && ends_at_once_) {
    begins_ = ends_at_once_ = false;
    attributes_.clear();
    text_.clear();
    open_.pop_back();
    return true;
  }
  for (std::string text;;) {
    const size_t at = rest_.find('<');
    if (at == rest_.npos) return open_.empty() ? false : fail();
    text += xml_unescaped(rest_.substr(0, at));
    rest_.remove_prefix(at + 1);
    if (rest_.starts_with("!--")) {
      if (!skip_past("-->")) return false;
    } else if (rest_.starts_with("![CDATA[")) {
      rest_.remove_prefix(8);
      text += rest_.substr(0, rest_.find("]]>"));
      if (!skip_past("]]>")) return false;
    } else if (rest_.starts_with('?') || rest_.starts_with('!')) {
      if (!skip_past(">")) return false;
    } else {
      // A > may stand in an attribute's quotes.
      size_t end = 0;
      for (char quote = 0; end < rest_.size() && (quote || rest_[end] != '>'); ++end) {
        if (quote ? rest_[end] == quote : rest_[end] == '"' || rest_[end] == '\'') quote = quote ? 0 : rest_[end];
      }
      if (end == rest_.size()) return fail();
      std::string_view tag = rest_.substr(0, end);
      rest_.remove_prefix(end + 1);
      begins_ = !tag.starts_with('/');
      path_.clear();
      if (begins_) {
        ends_at_once_ = tag.ends_with('/');
        if (ends_at_once_) tag.remove_suffix(1);
        if (!take_tag(tag) || open_.size() >= kDeepest) return fail();
        open_.push_back(name_);
      } else {
        attributes_.clear();
        text_ = std::move(text);
        tag.remove_prefix(1);
        name_ = tag.substr(0, std::min(tag.find_first_of(kBlank), tag.size()));
        if (open_.empty() || open_.back() != name_) return fail();
      }
      for (const std::string& open : open_) path_ += (path_.empty() ? "" : "/") + open;
      if (!begins_) open_.pop_back();
      return true;
    }
  }
}

}  // namespace nm::attach
