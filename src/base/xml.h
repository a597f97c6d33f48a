// Text of others in XML 1.0.
#pragma once

#include <string>
#include <string_view>

namespace nm {

// For an element's content or an attribute in either kind of quotes.
std::string xml_escaped(std::string_view text);
// Well-formed UTF-8 without the characters that XML cannot have at all, escaped or not.
bool xml_can_hold(std::string_view text);

}  // namespace nm
