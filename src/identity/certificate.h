// Keys, certificates and requests for them: P-256 throughout. An issued certificate names one member in one URI; all
// else in it is for machines to check (kind of use, times, issuer).
#pragma once

#include <ctime>
#include <string>
#include <string_view>

#include "base/result.h"
#include "identity/bytes.h"
#include "identity/member.h"
#include "identity/openssl.h"

namespace nm::identity {

class PrivateKey {
 public:
  static Result<PrivateKey> make();
  // A file that others may read is refused: it is no secret any more.
  static Result<PrivateKey> read(const std::string& path);

  Result<std::string> pem() const;
  EVP_PKEY* get() const { return key_.get(); }

 private:
  explicit PrivateKey(KeyPtr key) : key_(std::move(key)) {}
  KeyPtr key_;
};

class Certificate {
 public:
  explicit Certificate(CertificatePtr certificate) : certificate_(std::move(certificate)) {}
  // Exactly one. `where` begins the sentence that says why not.
  static Result<Certificate> parse(std::string_view pem, const std::string& where);
  static Result<Certificate> read(const std::string& path);

  X509* get() const { return certificate_.get(); }
  std::string pem() const;
  Hash fingerprint() const;  // of all of it
  std::string serial() const;
  time_t not_before() const;
  time_t not_after() const;
  Result<Member> member() const;

 private:
  CertificatePtr certificate_;
};

// Of somebody's certificate that OpenSSL holds. The error is a sentence about "the certificate".
Result<Member> member_of(X509* certificate);
std::string serial_of(X509* certificate);  // hex digits

// A request for a certificate, DER: a public key, and the proof that the sender has the private one. It names nobody:
// who gets the certificate is for the issuer to know.
Result<std::string> make_request(const PrivateKey& key);
inline constexpr size_t kMaxRequest = 2048;
// The key of a request. Whatever else stands in it is not looked at.
Result<KeyPtr> check_request(std::string_view der);

}  // namespace nm::identity
