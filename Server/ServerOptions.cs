using Stigmer.Config;

namespace Stigmer.Server;

/// <summary>What <c>stigmer server</c> was told on its command line; the rest stands in the environment.</summary>
/// <param name="Listen">Where the API listens; port 0: a free one.</param>
/// <param name="TlsCert">A PEM file with the certificate and its chain; null: plaintext, on loopback only.</param>
/// <param name="TlsKey">The certificate's key, a PEM file.</param>
sealed record ServerOptions(HostPort Listen, string? TlsCert = null, string? TlsKey = null);
