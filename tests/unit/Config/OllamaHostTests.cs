using Stigmer.Config;

namespace Stigmer.Tests.Config;

public class OllamaHostTests
{
    [Theory]
    [InlineData("gpu", "http://gpu:11434")]
    [InlineData("gpu:1234", "http://gpu:1234")]
    [InlineData("localhost", "http://localhost:11434")]
    [InlineData(":11435", "http://127.0.0.1:11435")]
    [InlineData("", "http://127.0.0.1:11434")]
    [InlineData("http://gpu", "http://gpu:80")]
    [InlineData("https://gpu", "https://gpu:443")]
    [InlineData("HTTPS://gpu:8443/", "https://gpu:8443")]
    [InlineData("http://gpu:11434///", "http://gpu:11434")]
    [InlineData("https://gpu/ollama/", "https://gpu:443/ollama")]
    [InlineData("gpu/ollama", "http://gpu:11434/ollama")]
    [InlineData(" \"gpu:1234\" ", "http://gpu:1234")]
    [InlineData("'gpu'", "http://gpu:11434")]
    [InlineData("192.168.1.2", "http://192.168.1.2:11434")]
    [InlineData("0.0.0.0", "http://127.0.0.1:11434")]
    [InlineData("0.0.0.0:1234", "http://127.0.0.1:1234")]
    [InlineData("http://0.0.0.0:1234", "http://127.0.0.1:1234")]
    [InlineData("[::]:1234", "http://127.0.0.1:1234")]
    [InlineData("[::]", "http://127.0.0.1:11434")]
    [InlineData("::", "http://127.0.0.1:11434")]
    [InlineData("[::1]:1234", "http://[::1]:1234")]
    [InlineData("[::1]", "http://[::1]:11434")]
    [InlineData("::1", "http://[::1]:11434")]
    [InlineData("[fe80::2]:1", "http://[fe80::2]:1")]
    public void It_is_read_as_Ollama_reads_it(string text, string expected)
    {
        Assert.Equal(expected, OllamaHost.ToUrl(text, out var warning));
        Assert.Null(warning);
    }

    [Theory]
    [InlineData("gpu:70000", "http://gpu:11434")]
    [InlineData("gpu:abc", "http://gpu:11434")]
    [InlineData("gpu:-1", "http://gpu:11434")]
    [InlineData("https://gpu:70000", "https://gpu:443")]
    public void A_port_that_is_none_gives_the_default_and_a_warning(string text, string expected)
    {
        Assert.Equal(expected, OllamaHost.ToUrl(text, out var warning));
        Assert.Contains("OLLAMA_HOST has the port", warning, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ftp://gpu")]
    [InlineData("two words")]
    [InlineData("http://me:secret@gpu")]
    [InlineData("unix:///run/ollama.sock")]
    public void What_is_no_address_is_refused(string text) => Assert.Null(OllamaHost.ToUrl(text, out _));
}
