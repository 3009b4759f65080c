using System.Runtime.InteropServices;

namespace Stigmer.Rpc;

/// <summary>Where the root certificates of this machine are. OpenSSL is linked into the executable and knows Debian's places only.</summary>
static partial class TrustStore
{
    /// <summary>Where OpenSSL looks by itself, built on Debian.</summary>
    static readonly string[] Known = ["/usr/lib/ssl/cert.pem", "/usr/lib/ssl/certs", "/etc/ssl/certs/ca-certificates.crt"];

    /// <summary>Where other Linux distributions keep the bundle: Fedora and RHEL, openSUSE, older Fedora, CentOS, Alpine; Arch, openSUSE, and what is left.</summary>
    static readonly string[] Elsewhere =
    [
        "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/pki/tls/cacert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
        "/etc/ca-certificates/extracted/tls-ca-bundle.pem", "/var/lib/ca-certificates/ca-bundle.pem", "/etc/certs/ca-certificates.crt",
    ];

    /// <summary>Tells OpenSSL of a bundle that it would not find. Call it before the first connection; the user's own choice stands.</summary>
    public static void Announce()
    {
        if (!OperatingSystem.IsLinux()) return;
        // .NET's own variables are a copy that native code does not see.
        if (Find(HoldsSomething, Environment.GetEnvironmentVariable) is { } file) _ = SetEnvironment("SSL_CERT_FILE", file, 1);
    }

    /// <summary>The bundle to name; null: nothing to name.</summary>
    public static string? Find(Func<string, bool> exists, Func<string, string?> environment) =>
        environment("SSL_CERT_FILE") is { Length: > 0 } || environment("SSL_CERT_DIR") is { Length: > 0 } || Known.Any(exists) ? null : Elsewhere.FirstOrDefault(exists);

    /// <summary>A folder that OpenSSL's package made and nothing filled holds no certificates.</summary>
    static bool HoldsSomething(string path) => Directory.Exists(path) ? Directory.EnumerateFileSystemEntries(path).Any() : File.Exists(path);

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetEnvironment(string name, string value, int overwrite);
}
