using Stigmer.Rpc;

namespace Stigmer.Tests.Rpc;

public class TrustStoreTests
{
    [Theory]
    [InlineData("/etc/pki/tls/certs/ca-bundle.crt")]
    [InlineData("/etc/ssl/cert.pem")]
    public void A_bundle_that_OpenSSL_does_not_look_for_is_named(string bundle) => Assert.Equal(bundle, TrustStore.Find(path => path == bundle, _ => null));

    [Fact]
    public void Where_OpenSSL_looks_by_itself_it_is_left_alone() => Assert.Null(TrustStore.Find(path => path is "/usr/lib/ssl/certs" or "/etc/ssl/cert.pem", _ => null));

    [Theory]
    [InlineData("SSL_CERT_FILE")]
    [InlineData("SSL_CERT_DIR")]
    public void The_users_own_choice_stands(string variable) => Assert.Null(TrustStore.Find(path => path == "/etc/ssl/cert.pem", name => name == variable ? "/own" : null));

    [Fact]
    public void Without_any_there_is_none() => Assert.Null(TrustStore.Find(_ => false, _ => null));
}
