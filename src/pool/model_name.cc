#include "pool/model_name.h"

#include <algorithm>
#include <cctype>
#include <numeric>

namespace nm::pool {
namespace {

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> found(1);
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x80 && std::isalnum(u)) {
      found.back() += static_cast<char>(std::tolower(u));
    } else if (!found.back().empty()) {
      found.emplace_back();
    }
  }
  if (found.back().empty()) found.pop_back();
  return found;
}

size_t edits(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t cheapest = std::min({row[j] + 1, row[j + 1] + 1, diagonal + (a[i] != b[j])});
      diagonal = row[j + 1];
      row[j + 1] = cheapest;
    }
  }
  return row.back();
}

std::string joined(const std::vector<std::string>& words) {
  return std::accumulate(words.begin(), words.end(), std::string());
}

// How far `said` is from a model: that of its name as a whole or of its nearest run of words.
size_t distance(const std::string& said, const std::vector<std::string>& model) {
  size_t best = said.size() + 1;
  for (size_t begin = 0; begin < model.size(); ++begin) {
    std::string run;
    for (size_t end = begin; end < model.size() && run.size() <= 2 * said.size(); ++end) {
      run += model[end];
      best = std::min(best, edits(said, run));
    }
  }
  return best;
}

}  // namespace

bool names_model(std::string_view said, std::string_view model) {
  const auto wished = words(said), has = words(model);
  if (wished.empty()) return said.empty();
  const auto has_word = [&](const std::string& word) { return std::find(has.begin(), has.end(), word) != has.end(); };
  if (std::all_of(wished.begin(), wished.end(), has_word)) return true;
  // "rtx4090", "a100-80gb" for "A100 80GB": the same letters, other gaps.
  const std::string run = joined(wished);
  for (size_t begin = 0; begin < has.size(); ++begin) {
    std::string so_far;
    for (size_t end = begin; end < has.size() && so_far.size() < run.size(); ++end) so_far += has[end];
    if (so_far == run) return true;
  }
  return false;
}

std::vector<std::string> nearest_models(std::string_view said, const std::vector<std::string>& known) {
  const std::string run = joined(words(said.substr(0, 64)));
  std::vector<std::pair<size_t, std::string>> ranked;
  for (const std::string& model : known) {
    const size_t far = distance(run, words(model));
    if (far <= std::max<size_t>(1, run.size() / 2)) ranked.emplace_back(far, model);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<std::string> nearest;
  for (const auto& [far, model] : ranked) {
    if (nearest.size() < 3 && std::find(nearest.begin(), nearest.end(), model) == nearest.end())
      nearest.push_back(model);
  }
  return nearest;
}

}  // namespace nm::pool
