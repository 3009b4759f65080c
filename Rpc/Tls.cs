using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Stigmer.Config;

namespace Stigmer.Rpc;

/// <summary>TLS as a person configured it: what stands in files and variables is read, and what is wrong with it is said.</summary>
static class Tls
{
    /// <summary>For a connection. Fails (exit code 2) where something cannot be read or does not fit together.</summary>
    public static SslClientAuthenticationOptions Options(TemporalTls tls)
    {
        var options = new SslClientAuthenticationOptions();
        var ca = Pem("CA certificate", tls.CaFile, tls.CaData);
        if (ca is not null)
        {
            options.CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            options.CertificateChainPolicy.CustomTrustStore.AddRange(Certificates("CA certificate", ca, tls.CaFile));
        }
        if (tls.DisableHostVerification)
        {
            // With a CA of the user's own the chain still has to lead there; without one nothing is checked.
            options.RemoteCertificateValidationCallback = (_, _, _, errors) =>
                ca is null || (errors & ~SslPolicyErrors.RemoteCertificateNameMismatch) == SslPolicyErrors.None;
        }
        var certificate = Pem("client certificate", tls.CertFile, tls.CertData);
        var key = Pem("client key", tls.KeyFile, tls.KeyData);
        if (certificate is null != key is null)
        {
            throw new Failure(
                $"The TLS client {(key is null ? "key" : "certificate")} is missing", "a client certificate and its key belong together", "Set both, or neither", ExitCode.Usage);
        }
        if (certificate is not null)
        {
            var chain = Certificates("client certificate", certificate, tls.CertFile);
            var leaf = Channels.Usable(WithKey(certificate, key!, tls));
            options.ClientCertificateContext = SslStreamCertificateContext.Create(leaf, chain, offline: true);
        }
        return options;
    }

    static string? Pem(string what, string? file, string? data)
    {
        if (file is null) return data;
        try
        {
            return File.ReadAllText(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new Failure($"The TLS {what} {file} cannot be read", e.Message, null, ExitCode.Usage, e);
        }
    }

    static X509Certificate2Collection Certificates(string what, string pem, string? file)
    {
        var certificates = new X509Certificate2Collection();
        try
        {
            certificates.ImportFromPem(pem);
        }
        catch (CryptographicException e)
        {
            throw Unusable(what, file, e.Message, e);
        }
        return certificates.Count > 0 ? certificates : throw Unusable(what, file, "it holds no certificate", null);
    }

    static X509Certificate2 WithKey(string certificate, string key, TemporalTls tls)
    {
        if (key.Contains("ENCRYPTED", StringComparison.Ordinal))
        {
            throw new Failure(
                Named("client key", tls.KeyFile) + " is protected by a password", "nobody is there to enter it", "Give it without one: openssl pkey -in KEY -out PLAIN", ExitCode.Usage);
        }
        try
        {
            return X509Certificate2.CreateFromPem(certificate, key);
        }
        catch (ArgumentException e)
        {
            throw DoesNotBelong(tls, e);
        }
        catch (CryptographicException e)
        {
            // A key of another kind than the certificate's, too, is one that does not belong to it.
            throw IsPrivateKey(key) ? DoesNotBelong(tls, e) : Unusable("client key", tls.KeyFile, "it holds no private key", e);
        }
    }

    static bool IsPrivateKey(string pem) => Imports(RSA.Create, pem) || Imports(ECDsa.Create, pem);

    static bool Imports(Func<AsymmetricAlgorithm> create, string pem)
    {
        using var algorithm = create();
        try
        {
            algorithm.ImportFromPem(pem);
            return true;
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            return false;
        }
    }

    static Failure DoesNotBelong(TemporalTls tls, Exception e) => new(
        Named("client key", tls.KeyFile) + " does not belong to the client certificate", "their public keys differ", "Give the certificate and the key that were made together", ExitCode.Usage, e);

    static Failure Unusable(string what, string? file, string why, Exception? e) =>
        new(Named(what, file) + " is not usable", why, "Give it as PEM text: -----BEGIN …", ExitCode.Usage, e);

    static string Named(string what, string? file) => file is null ? $"The TLS {what}" : $"The TLS {what} {file}";
}
