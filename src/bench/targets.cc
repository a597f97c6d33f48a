#include "bench/targets.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "bench/execute.h"

namespace nm::bench {
namespace {

bool is_file(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

bool looks_like_results(const std::string& text) { return text.ends_with(".jsonl") || text.ends_with(".json"); }

// "LABEL=" in front: a word of letters, digits and -_.+ before the first blank.
std::string take_label(std::string& text) {
  const size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+");
  if (end == 0 || end == text.npos || text[end] != '=') return "";
  const std::string label = text.substr(0, end);
  text.erase(0, end + 1);
  return label;
}

// Our own `run` wants its command after "--".
std::vector<std::string> run_prefix(std::vector<std::string> words, const Tree& tree) {
  words.insert(words.begin(), tree.bin + "/nearmetal");
  if (words.back() != "--") words.push_back("--");
  return words;
}

Result<Target> saved_target(const std::string& label, const std::string& text) {
  const size_t mark = is_file(text) ? text.npos : text.rfind('#');
  Target target{.label = label, .prefix = {}, .here = false, .file = text.substr(0, mark), .inner = ""};
  if (mark != text.npos) target.inner = text.substr(mark + 1);
  if (!is_file(target.file)) {
    return Error{fmt::format("Target \"{}\": there is no file {}. Check the path.", text, target.file)};
  }
  return target;
}

}  // namespace

Result<std::vector<std::string>> split_words(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == '\'' ? c != '\'' : quote == '"' ? c != '"' && c != '\\' : false) {
      word += c;
    } else if (quote && c == quote) {
      quote = 0;
    } else if (c == '\\') {
      if (++i == text.size()) return Error{fmt::format("\"{}\" ends with a backslash.", text)};
      if (quote && text[i] != '"' && text[i] != '\\') word += c;
      word += text[i];
      in_word = true;
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (c == ' ' || c == '\t' || c == '\n') {
      if (in_word) words.push_back(std::move(word));
      word.clear();
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote) return Error{fmt::format("\"{}\" has a quote that does not end.", text)};
  if (in_word) words.push_back(std::move(word));
  return words;
}

Result<Target> parse_target(const std::string& text, const Tree& tree) {
  std::string rest = text;
  const std::string label = is_file(text) ? "" : take_label(rest);
  if (rest.empty()) return Error{fmt::format("Target \"{}\" is empty. Write native for this machine as it is.", text)};
  if (rest == "native")
    return Target{.label = label.empty() ? rest : label, .prefix = {}, .here = true, .file = "", .inner = ""};
  const bool file = is_file(rest) || (rest.find(' ') == rest.npos &&
                                      (looks_like_results(rest) || is_file(rest.substr(0, rest.rfind('#')))));
  if (file && !(rest.find('/') != rest.npos && !looks_like_results(rest) && !find_program(rest).empty())) {
    return saved_target(label, rest);
  }
  auto words = split_words(rest);
  if (!words) return Error{"Target " + words.error().message};
  Target target{.label = label.empty() ? rest : label, .prefix = *words, .here = false, .file = "", .inner = ""};
  if (words->empty())
    return Error{fmt::format("Target \"{}\" is empty. Write native for this machine as it is.", text)};
  if (words->front() == "run") {
    target.prefix = run_prefix(*words, tree);
    target.here = true;
    return target;
  }
  if (find_program(words->front()).empty()) {
    return Error{
        fmt::format("Target \"{}\" is not known: {} is neither native, nor run, nor a file of results, nor a "
                    "program that is found here.",
                    text, words->front())};
  }
  return target;
}

Result<std::vector<Target>> parse_targets(const std::vector<std::string>& texts, const Tree& tree) {
  std::vector<Target> targets;
  std::set<std::string> taken;
  for (const std::string& text : texts) {
    auto target = parse_target(text, tree);
    if (!target) return target.error();
    // A file's label is known when it has been read; files under one label are boots of one machine.
    if (!target->saved()) {
      const std::string label = target->label;
      for (int n = 2; !taken.insert(target->label).second; ++n) target->label = fmt::format("{} ({})", label, n);
    }
    targets.push_back(std::move(*target));
  }
  return targets;
}

}  // namespace nm::bench
