using System.Runtime.Versioning;

namespace Stigmer.Processes;

/// <summary>The three standard streams that this process was started with.</summary>
[UnsupportedOSPlatform("windows")]
static class StandardStreams
{
    const int StandardError = 2;

    /// <summary>
    /// Puts the null device where whoever started this process closed a stream (<c>&gt;&amp;-</c>): a write would fail, and the
    /// next file that is opened would take the stream's number and get what is meant for a reader.
    /// </summary>
    public static void Complete()
    {
        // open gives the lowest number that is free.
        int descriptor;
        do
        {
            descriptor = Libc.open("/dev/null", Libc.O_RDWR);
        }
        while (descriptor is >= 0 and <= StandardError);
        if (descriptor >= 0) _ = Libc.close(descriptor);
    }
}
