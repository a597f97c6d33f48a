// The first bytes of a connection, read without trusting any of them. See wire/hello.h for their layout.
//
// What stays true for every protocol there will ever be: the first 48 bytes of a Hello are magic, protocol, purpose and
// version. A client of another release is therefore told so in a sentence, whatever else its Hello holds.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "wire/hello.h"

namespace nm::server {

struct ClientHello {
  wire::Hello hello;
  std::vector<std::string> env;  // "NAME=VALUE", every name in wire::kForwardedEnv, none twice
};

// Why a connection is not served. `status` is ok where the peer does not speak our language: it gets no answer.
struct Refusal {
  wire::Status status = wire::Status::ok;
  std::string sentence;
};

class HelloReader {
 public:
  enum class State { need_more, complete, refused };

  // How many bytes to read next, never more than the Hello has: what follows it belongs to the worker.
  size_t wanted() const;
  State feed(const void* bytes, size_t size);

  const ClientHello& client() const { return client_; }  // complete
  const Refusal& refusal() const { return refusal_; }    // refused

 private:
  State refuse(wire::Status status, std::string sentence);
  State check_fixed_part();
  State check_env();

  std::string received_;
  ClientHello client_;
  Refusal refusal_;
};

// A Welcome and its message as they travel.
std::string encode_welcome(wire::Status status, const wire::Token& token, std::string_view message);

// "3f2a...": how a session is named in the log. Half of the token, so that the log does not give the session away.
std::string session_name(const wire::Token& token);

}  // namespace nm::server
