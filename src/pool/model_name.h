// Models as people say them. "h200" is "NVIDIA H200" and "a100" every A100, but "h20" is no H200: all words of what was
// said must be words of the name, gaps aside ("rtx4090").
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nm::pool {

// Whether `said` names `model`. Empty names every model.
bool names_model(std::string_view said, std::string_view model);

// The models of `known` that are nearest to `said`, best first, at most three; what is nothing alike is left out.
std::vector<std::string> nearest_models(std::string_view said, const std::vector<std::string>& known);

}  // namespace nm::pool
