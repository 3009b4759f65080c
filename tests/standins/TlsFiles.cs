using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace Stigmer.Standins;

/// <summary>How a server shows itself by TLS, and to whom it opens; PEM files.</summary>
/// <param name="Certificate">Null: plaintext.</param>
/// <param name="Key">The certificate's.</param>
/// <param name="ClientAuthority">Only who has a certificate of this authority is let in; null: everybody.</param>
sealed record TlsFiles(string? Certificate, string? Key, string? ClientAuthority)
{
    /// <summary>For Kestrel; null: plaintext.</summary>
    public HttpsConnectionAdapterOptions? ToOptions()
    {
        if (Certificate is null) return null;
        var options = new HttpsConnectionAdapterOptions { ServerCertificate = X509Certificate2.CreateFromPemFile(Certificate, Key) };
        if (ClientAuthority is null) return options;
        var authority = X509CertificateLoader.LoadCertificateFromFile(ClientAuthority);
        options.ClientCertificateMode = ClientCertificateMode.RequireCertificate;
        options.ClientCertificateValidation = (certificate, _, _) =>
        {
            using var chain = new X509Chain
            {
                ChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, CustomTrustStore = { authority }, RevocationMode = X509RevocationMode.NoCheck },
            };
            return chain.Build(certificate);
        };
        return options;
    }
}
