#include "identity/certificate.h"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>

#include "identity/files.h"

namespace nm::identity {
namespace {

constexpr char kCurve[] = "prime256v1";

BioPtr memory_of(std::string_view text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

time_t seconds(const ASN1_TIME* time) {
  tm broken = {};
  return ASN1_TIME_to_tm(time, &broken) == 1 ? ::timegm(&broken) : 0;
}

bool is_p256(EVP_PKEY* key) {
  char group[32] = "";
  size_t size = 0;
  return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, &size) == 1 &&
         strcmp(group, kCurve) == 0;
}

// A PEM file of ours has no passphrase, and nobody is there to be asked for one.
int no_passphrase(char*, int, int, void*) { return -1; }

}  // namespace

Result<PrivateKey> PrivateKey::make() {
  KeyPtr key(EVP_EC_gen(kCurve));
  if (!key)
    return Error{fmt::format("Cannot make a key: {}. Look for a broken OpenSSL configuration.", openssl_reason())};
  return PrivateKey(std::move(key));
}

Result<PrivateKey> PrivateKey::read(const std::string& path) {
  struct stat file;
  if (::stat(path.c_str(), &file) == 0 && (file.st_mode & 0077) != 0) {
    return Error{
        fmt::format("The key {} can be read by others (mode {:o}). chmod 600 it, and make a new one if somebody "
                    "may have had it.",
                    path, file.st_mode & 0777)};
  }
  const auto text = read_file(path, 16 << 10);
  if (!text) return text.error();
  KeyPtr key(PEM_read_bio_PrivateKey(memory_of(*text).get(), nullptr, no_passphrase, nullptr));
  if (!key || !is_p256(key.get())) {
    return Error{fmt::format("{} holds no P-256 key ({}). Join the pool again.", path, openssl_reason())};
  }
  return PrivateKey(std::move(key));
}

Result<std::string> PrivateKey::pem() const {
  const BioPtr out(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PKCS8PrivateKey(out.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return Error{fmt::format("Cannot write a key: {}.", openssl_reason())};
  }
  return text_of(out.get());
}

Result<Certificate> Certificate::parse(std::string_view pem, const std::string& where) {
  const BioPtr in = memory_of(pem);
  CertificatePtr one(PEM_read_bio_X509(in.get(), nullptr, no_passphrase, nullptr));
  if (!one) return Error{fmt::format("{} holds no certificate ({}). Join the pool again.", where, openssl_reason())};
  const CertificatePtr more(PEM_read_bio_X509(in.get(), nullptr, no_passphrase, nullptr));
  openssl_reason();
  if (more) return Error{fmt::format("{} holds more than one certificate. Join the pool again.", where)};
  return Certificate(std::move(one));
}

Result<Certificate> Certificate::read(const std::string& path) {
  const auto text = read_file(path, 64 << 10);
  if (!text) return text.error();
  return parse(*text, path);
}

std::string Certificate::pem() const {
  const BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), certificate_.get());
  return text_of(out.get());
}

Hash Certificate::fingerprint() const {
  Hash out = {};
  unsigned size = out.size();
  X509_digest(certificate_.get(), EVP_sha256(), out.data(), &size);
  return out;
}

std::string Certificate::serial() const { return serial_of(certificate_.get()); }
time_t Certificate::not_before() const { return seconds(X509_get0_notBefore(certificate_.get())); }
time_t Certificate::not_after() const { return seconds(X509_get0_notAfter(certificate_.get())); }
Result<Member> Certificate::member() const { return member_of(certificate_.get()); }

std::string serial_of(X509* certificate) {
  const ASN1_INTEGER* serial = X509_get0_serialNumber(certificate);
  return hex(
      {reinterpret_cast<const char*>(ASN1_STRING_get0_data(serial)), static_cast<size_t>(ASN1_STRING_length(serial))});
}

Result<Member> member_of(X509* certificate) {
  const std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES_free>> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  const Error nameless = {"The certificate does not name one member of a pool. Join the pool again."};
  // With two names it would be a question of who reads it which one counts.
  if (!names || sk_GENERAL_NAME_num(names.get()) != 1) return nameless;
  const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), 0);
  if (name->type != GEN_URI) return nameless;
  const auto* uri = name->d.uniformResourceIdentifier;
  const auto member = parse_member(
      {reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)), static_cast<size_t>(ASN1_STRING_length(uri))});
  if (!member) return nameless;
  return *member;
}

Result<std::string> make_request(const PrivateKey& key) {
  const RequestPtr request(X509_REQ_new());
  if (!request || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) <= 0) {
    return Error{fmt::format("Cannot make a request for a certificate: {}.", openssl_reason())};
  }
  unsigned char* der = nullptr;
  const int size = i2d_X509_REQ(request.get(), &der);
  if (size <= 0) return Error{fmt::format("Cannot write a request for a certificate: {}.", openssl_reason())};
  std::string out(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return out;
}

Result<KeyPtr> check_request(std::string_view der) {
  if (der.size() > kMaxRequest) return Error{fmt::format("The request has more than {} bytes.", kMaxRequest)};
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const RequestPtr request(d2i_X509_REQ(nullptr, &at, static_cast<long>(der.size())));
  if (!request || at != reinterpret_cast<const unsigned char*>(der.data()) + der.size()) {
    openssl_reason();
    return Error{"The request is not one for a certificate."};
  }
  KeyPtr key(X509_REQ_get_pubkey(request.get()));
  if (!key || !is_p256(key.get())) {
    openssl_reason();
    return Error{"The request's key is not of the curve P-256."};
  }
  if (X509_REQ_verify(request.get(), key.get()) != 1) {
    openssl_reason();
    return Error{"The request is not signed with the key that it names."};
  }
  return key;
}

}  // namespace nm::identity
