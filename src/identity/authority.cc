#include "identity/authority.h"

#include <fmt/format.h>
#include <openssl/rand.h>

#include "identity/files.h"

namespace nm::identity {
namespace {

constexpr time_t kAuthorityLifetime = time_t{20} * 366 * 24 * 3600;

// What can only fail for want of memory is checked as a whole, at the end.
class Maker {
 public:
  explicit Maker(EVP_PKEY* key) : certificate_(X509_new()) {
    // 127 random bits: a serial names a certificate for ever, and no counter has to be kept.
    std::string serial = random_bytes(16);
    serial[0] = static_cast<char>((serial[0] & 0x3f) | 0x40);
    const std::unique_ptr<BIGNUM, Freed<BN_free>> number(
        BN_bin2bn(reinterpret_cast<const unsigned char*>(serial.data()), static_cast<int>(serial.size()), nullptr));
    ok_ = certificate_ && number && X509_set_version(certificate_.get(), X509_VERSION_3) == 1 &&
          BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate_.get())) &&
          X509_set_pubkey(certificate_.get(), key) == 1;
  }

  void lasts(time_t from, time_t until) {
    ok_ = ok_ && ASN1_TIME_set(X509_getm_notBefore(certificate_.get()), from) &&
          ASN1_TIME_set(X509_getm_notAfter(certificate_.get()), until);
  }
  void subject(const std::string& name) { ok_ = ok_ && put_name(X509_get_subject_name(certificate_.get()), name); }
  void issuer(X509* by) { ok_ = ok_ && X509_set_issuer_name(certificate_.get(), X509_get_subject_name(by)) == 1; }
  void extension(int nid, const std::string& value, X509* by) {
    if (!ok_) return;
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, by, certificate_.get(), nullptr, nullptr, 0);
    const std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>> made(
        X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
    ok_ = made && X509_add_ext(certificate_.get(), made.get(), -1) == 1;
  }
  Result<Certificate> sign(EVP_PKEY* with) {
    if (ok_ && X509_sign(certificate_.get(), with, EVP_sha256()) > 0) return Certificate(std::move(certificate_));
    return Error{fmt::format("Cannot make a certificate: {}.", openssl_reason())};
  }
  X509* get() const { return certificate_.get(); }

 private:
  static bool put_name(X509_NAME* to, const std::string& name) {
    return X509_NAME_add_entry_by_txt(to, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name.data()),
                                      static_cast<int>(name.size()), -1, 0) == 1;
  }
  CertificatePtr certificate_;
  bool ok_;
};

}  // namespace

Result<Authority> Authority::create(const PoolDir& dir, const std::string& pool_id, time_t now) {
  auto key = PrivateKey::make();
  if (!key) return key.error();
  Maker maker(key->get());
  maker.lasts(now - kClockSkew, now + kAuthorityLifetime);
  maker.subject("nearmetal pool " + pool_id);
  maker.issuer(maker.get());
  maker.extension(NID_basic_constraints, "critical,CA:TRUE,pathlen:0", maker.get());
  maker.extension(NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature", maker.get());
  maker.extension(NID_subject_key_identifier, "hash", maker.get());
  auto certificate = maker.sign(key->get());
  if (!certificate) return certificate.error();
  const auto pem = key->pem();
  if (!pem) return pem.error();
  // The key first: a certificate without it would look like another host's.
  if (auto kept = write_new(dir.authority_key(), *pem, 0600); !kept) return kept.error();
  if (auto kept = write_new(dir.authority_certificate(), certificate->pem(), 0644); !kept) return kept.error();
  return Authority(std::move(*key), std::move(*certificate));
}

Result<Authority> Authority::open(const PoolDir& dir) {
  if (!dir.is_authority()) {
    return Error{
        fmt::format("The authority's key is not in {}: this is not where the pool was made. Do this on the host "
                    "where `nearmetal pool init` was done, as the user who did it.",
                    dir.path)};
  }
  auto key = PrivateKey::read(dir.authority_key());
  if (!key) return key.error();
  auto certificate = Certificate::read(dir.authority_certificate());
  if (!certificate) return certificate.error();
  if (X509_check_private_key(certificate->get(), key->get()) != 1) {
    openssl_reason();
    return Error{fmt::format("{} and {} do not belong together. Put back the pair that does.",
                             dir.authority_certificate(), dir.authority_key())};
  }
  return Authority(std::move(*key), std::move(*certificate));
}

Result<Certificate> Authority::issue(EVP_PKEY* key, const Member& member, time_t lifetime, time_t now) const {
  Maker maker(key);
  maker.lasts(now - kClockSkew, now + lifetime);
  maker.subject(member.name);
  maker.issuer(certificate_.get());
  maker.extension(NID_basic_constraints, "critical,CA:FALSE", certificate_.get());
  maker.extension(NID_key_usage, "critical,digitalSignature", certificate_.get());
  // A user's certificate cannot stand for a server, whatever else goes wrong.
  maker.extension(NID_ext_key_usage, member.role == Role::host ? "serverAuth,clientAuth" : "clientAuth",
                  certificate_.get());
  maker.extension(NID_subject_alt_name, "URI:" + member.uri(), certificate_.get());
  maker.extension(NID_authority_key_identifier, "keyid:always", certificate_.get());
  return maker.sign(key_.get());
}

Result<std::string> Authority::sign(std::string_view text) const {
  const DigestPtr context(EVP_MD_CTX_new());
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  size_t size = 0;
  std::string out;
  if (context && EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1 &&
      EVP_DigestSign(context.get(), nullptr, &size, data, text.size()) == 1) {
    out.resize(size);
    if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size, data, text.size()) == 1) {
      out.resize(size);
      return out;
    }
  }
  return Error{fmt::format("Cannot sign: {}.", openssl_reason())};
}

bool is_signed_by(const Certificate& certificate, std::string_view text, std::string_view signature) {
  const DigestPtr context(EVP_MD_CTX_new());
  const bool good =
      context &&
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, X509_get0_pubkey(certificate.get())) == 1 &&
      EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                       reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1;
  if (!good) openssl_reason();
  return good;
}

}  // namespace nm::identity
