#include "identity/tls.h"

#include <errno.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <string.h>

#include "identity/kernel_tls.h"

namespace nm::identity {
namespace {

// As ALPN has it: each with its length before it.
std::string alpn_list(std::string_view name) { return static_cast<char>(name.size()) + std::string(name); }

Error cannot(const std::string& what) { return Error{fmt::format("{}: {}.", what, openssl_reason())}; }

ContextPtr bare_context(const SSL_METHOD* method) {
  ContextPtr context(SSL_CTX_new(method));
  if (!context) return context;
  SSL_CTX* c = context.get();
  const bool ok = SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) == 1 &&
                  SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION) == 1 &&
                  // AES-128 first: a kernel and every processor of note have it.
                  SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384") == 1 &&
                  SSL_CTX_set1_groups_list(c, "X25519:P-256") == 1 && SSL_CTX_set_num_tickets(c, 0) == 1;
  if (!ok) return {};
  SSL_CTX_set_security_level(c, 2);
  SSL_CTX_set_options(
      c, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_early_data(c, 0);
  SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_verify_depth(c, 2);
  // Ours are some hundred bytes; the default would let a stranger have 100 KiB kept for him.
  SSL_CTX_set_max_cert_list(c, 8192);
  return context;
}

Result<void> present(SSL_CTX* context, const PoolDir& dir, Role role) {
  const auto key = PrivateKey::read(dir.key(role));
  if (!key) return key.error();
  const auto certificate = Certificate::read(dir.certificate(role));
  if (!certificate) return certificate.error();
  const auto authority = Certificate::read(dir.authority_certificate());
  if (!authority) return authority.error();
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  if (SSL_CTX_use_certificate(context, certificate->get()) != 1 || SSL_CTX_use_PrivateKey(context, key->get()) != 1 ||
      // A newcomer has nothing to check with but the authority's fingerprint, so it is shown, too.
      SSL_CTX_add1_chain_cert(context, authority->get()) != 1 || X509_STORE_add_cert(store, authority->get()) != 1) {
    return cannot("The certificate and key in " + dir.path + " cannot be used");
  }
  return {};
}

// Called while the ClientHello is read: before it is decided whether a certificate is asked for.
int choose_alpn(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size,
                void*) {
  for (const std::string_view name : {kAlpnSession, kAlpnMember, kAlpnJoin}) {
    const std::string ours = alpn_list(name);
    if (in_size != ours.size() || memcmp(in, ours.data(), ours.size()) != 0) continue;  // one, and one of ours
    if (name == kAlpnJoin) SSL_set_verify(ssl, SSL_VERIFY_NONE, nullptr);
    *out = in + 1;
    *out_size = static_cast<unsigned char>(name.size());
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int fingerprint_index() {
  static const int index = SSL_CTX_get_ex_new_index(
      0, nullptr, nullptr, nullptr,
      [](void*, void* kept, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<Hash*>(kept); });
  return index;
}

bool has_fingerprint(X509* certificate, const Hash& fingerprint) {
  Hash its = {};
  unsigned size = its.size();
  return X509_digest(certificate, EVP_sha256(), its.data(), &size) == 1 && its == fingerprint;
}

X509* find(STACK_OF(X509) * shown, const Hash& fingerprint) {
  for (int i = 0; i < sk_X509_num(shown); i++) {
    if (has_fingerprint(sk_X509_value(shown, i), fingerprint)) return sk_X509_value(shown, i);
  }
  return nullptr;
}

// Trusts the one certificate that has the fingerprint, and then everything is checked as ever.
int verify_by_fingerprint(X509_STORE_CTX* given, void*) {
  SSL* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(given, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const auto* wanted = static_cast<const Hash*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), fingerprint_index()));
  STACK_OF(X509)* shown = X509_STORE_CTX_get0_untrusted(given);
  X509* authority = find(shown, *wanted);
  if (!authority) {
    X509_STORE_CTX_set_error(given, X509_V_ERR_CERT_UNTRUSTED);
    return 0;
  }
  const StorePtr store(X509_STORE_new());
  const std::unique_ptr<X509_STORE_CTX, Freed<X509_STORE_CTX_free>> check(X509_STORE_CTX_new());
  if (!store || !check || X509_STORE_add_cert(store.get(), authority) != 1 ||
      X509_STORE_CTX_init(check.get(), store.get(), X509_STORE_CTX_get0_cert(given), shown) != 1 ||
      X509_STORE_CTX_set_default(check.get(), "ssl_server") != 1) {
    X509_STORE_CTX_set_error(given, X509_V_ERR_OUT_OF_MEM);
    return 0;
  }
  const int good = X509_verify_cert(check.get());
  X509_STORE_CTX_set_error(given, X509_STORE_CTX_get_error(check.get()));
  return good == 1 ? 1 : 0;
}

// What went wrong with the certificate that the other end showed.
std::string about_certificate(long result, bool client) {
  const std::string whose = client ? "the server's certificate" : "the certificate";
  switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return whose + " has expired" + (client ? ". Restart the server there, or let it join the pool again" : "");
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return whose + " is not valid yet: the clocks of the two machines differ. Set them right";
    case X509_V_ERR_CERT_UNTRUSTED:
      return client ? "the server is not of the pool that the token is for: it did not show the certificate that the "
                      "token names. Check with whoever sent the token"
                    : whose + " is not of this pool";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return whose + " was not issued by this pool's authority" +
             (client ? ". Check the address; a server of another pool needs a token of that pool" : "");
    case X509_V_ERR_INVALID_PURPOSE:
      return whose + (client ? " is not a host's" : " is not one for clients");
    default:
      return whose + ": " + X509_verify_cert_error_string(result);
  }
}

}  // namespace

Result<ContextPtr> server_context(const PoolDir& dir) {
  ContextPtr context = bare_context(TLS_server_method());
  if (!context) return cannot("TLS cannot be set up");
  if (auto shown = present(context.get(), dir, Role::host); !shown) return shown.error();
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  if (SSL_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_CLIENT) != 1) return cannot("TLS cannot be set up");
  SSL_CTX_set_alpn_select_cb(context.get(), choose_alpn, nullptr);
  remember_secrets(context.get());
  return context;
}

Result<ContextPtr> member_context(const PoolDir& dir, Role role, std::string_view alpn) {
  ContextPtr context = bare_context(TLS_client_method());
  if (!context) return cannot("TLS cannot be set up");
  if (auto shown = present(context.get(), dir, role); !shown) return shown.error();
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  const std::string list = alpn_list(alpn);
  if (SSL_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_SERVER) != 1 ||
      SSL_CTX_set_alpn_protos(context.get(), reinterpret_cast<const unsigned char*>(list.data()),
                              static_cast<unsigned>(list.size())) != 0) {
    return cannot("TLS cannot be set up");
  }
  if (alpn == kAlpnSession) remember_secrets(context.get());
  return context;
}

Result<ContextPtr> join_context(const Hash& authority) {
  ContextPtr context = bare_context(TLS_client_method());
  const std::string list = alpn_list(kAlpnJoin);
  auto kept = std::make_unique<Hash>(authority);
  if (!context || SSL_CTX_set_ex_data(context.get(), fingerprint_index(), kept.get()) != 1) {
    return cannot("TLS cannot be set up");
  }
  kept.release();  // the context's now
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(context.get(), verify_by_fingerprint, nullptr);
  SSL_CTX_set_alpn_protos(context.get(), reinterpret_cast<const unsigned char*>(list.data()),
                          static_cast<unsigned>(list.size()));
  return context;
}

std::string_view alpn_of(SSL* ssl) {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

Result<Member> peer_of(SSL* ssl, const std::string& pool) {
  const CertificatePtr certificate(SSL_get1_peer_certificate(ssl));
  if (!certificate) return Error{"No certificate was shown."};
  auto member = member_of(certificate.get());
  if (!member) return member.error();
  if (member->pool != pool) return Error{"The certificate is one of another pool."};
  if (!SSL_is_server(ssl) && member->role != Role::host) return Error{"The server's certificate is a user's."};
  return member;
}

std::string handshake_failure(SSL* ssl, bool client) {
  const int error = errno;
  const unsigned long code = ERR_peek_last_error();
  const int reason = ERR_GET_REASON(code);
  const long verified = SSL_get_verify_result(ssl);
  const std::string other = openssl_reason();
  if (verified != X509_V_OK) return about_certificate(verified, client);
  const std::string again = client ? ". Join the pool again with a new token" : "";
  switch (code == 0 ? 0 : reason) {
    case 0:
      return error == 0 ? "the other end closed the connection in the middle of the handshake"
                        : fmt::format("the connection broke in the middle of the handshake ({})", strerror(error));
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return "no certificate was shown";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
      return "the other end does not speak TLS 1.3";
    case SSL_R_NO_APPLICATION_PROTOCOL:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_NO_SHARED_CIPHER:
      return client ? "what listens there is not a nearmetal server that speaks TLS. Check the port"
                    : "it is not a client of nearmetal";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
      return "it does not know the authority that issued the certificate shown" + again;
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
      return "it says that the certificate shown has expired" + again;
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
      return "it does not take the certificate shown" + again;
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
      return "it wants a certificate" + again;
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
      return "the other end closed the connection in the middle of the handshake";
    default:
      return other;
  }
}

Result<Certificate> shown_authority(SSL* ssl, const Hash& fingerprint) {
  X509* found = find(SSL_get_peer_cert_chain(ssl), fingerprint);
  if (!found) return Error{"The server did not show the authority's certificate."};
  X509_up_ref(found);
  return Certificate(CertificatePtr(found));
}

std::string encode_admission(uint32_t admitted, std::string_view sentence) {
  sentence = sentence.substr(0, kMaxSentence);
  Admission admission;
  admission.admitted = admitted;
  admission.size = static_cast<uint32_t>(sentence.size());
  return std::string(reinterpret_cast<const char*>(&admission), sizeof admission) + std::string(sentence);
}

}  // namespace nm::identity
