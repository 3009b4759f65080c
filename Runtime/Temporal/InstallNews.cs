using System.Globalization;

namespace Stigmer.Runtime.Temporal;

/// <summary>What there is to tell while Temporal's CLI is being installed.</summary>
abstract record InstallNews
{
    /// <summary>Another process is installing; this one waits for it.</summary>
    public sealed record Waiting : InstallNews
    {
        /// <summary>For people.</summary>
        public const string Text = "Another stigmer is installing Temporal: waiting for it...";
    }

    /// <summary>How far a download has come.</summary>
    /// <param name="Version">Of the Temporal CLI.</param>
    /// <param name="Bytes">What is there of the archive, also from an earlier attempt; first told when an answer has come.</param>
    /// <param name="Total">What the server announced; null: nothing.</param>
    public sealed record Downloading(string Version, long Bytes, long? Total) : InstallNews
    {
        /// <summary>For people.</summary>
        public string Text => $"Downloading Temporal CLI v{Version}...";
    }

    /// <summary>An attempt failed; there will be another one.</summary>
    /// <param name="Why">What hindered it.</param>
    /// <param name="Pause">When.</param>
    public sealed record Retrying(string Why, TimeSpan Pause) : InstallNews
    {
        /// <summary>For people.</summary>
        public string Text => string.Create(CultureInfo.InvariantCulture, $"{Why}: trying again in {Pause.TotalSeconds:0.0} s");
    }
}
