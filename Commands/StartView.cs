using System.Diagnostics;
using System.Globalization;
using Stigmer.Runtime.Control;

namespace Stigmer.Commands;

/// <summary>Shows a start as it goes on: a line for each step that is true, a bar while something is downloaded.</summary>
/// <param name="terminal">Where to.</param>
/// <param name="toError">All lines as notes on standard error: where another command's answer goes to standard output.</param>
sealed class StartView(Terminal terminal, bool toError = false)
{
    const string ClearLine = "\r\e[K";

    long downloadBegan;
    long bytesAtBegin;
    bool barIsShown;

    bool ShowsBar => terminal.ErrorIsTerminal && !terminal.Quiet && !terminal.Json;

    /// <summary>Shows what the daemon tells.</summary>
    public void Show(ControlReply reply)
    {
        switch (reply.Type)
        {
            case ControlReply.Line:
                Ok(reply.Text!);
                break;
            case ControlReply.Warning:
                HideBar();
                terminal.Warn(reply.Text!);
                break;
            case ControlReply.Note:
                HideBar();
                terminal.Note(reply.Text!);
                break;
            case ControlReply.Download:
                ShowDownload(reply);
                break;
        }
    }

    /// <summary>A step that is true.</summary>
    public void Ok(string text)
    {
        HideBar();
        if (!toError) terminal.Ok(text);
    }

    /// <summary>Leaves the terminal as a shell's prompt wants it.</summary>
    public void End() => HideBar();

    void ShowDownload(ControlReply reply)
    {
        if (downloadBegan == 0)
        {
            downloadBegan = Stopwatch.GetTimestamp();
            bytesAtBegin = reply.Done ?? 0;
            Ok(reply.Text!);
        }
        if (!ShowsBar) return;
        barIsShown = true;
        terminal.Error.Write(ClearLine + Bar(reply.Done ?? 0, reply.Total, bytesAtBegin, Stopwatch.GetElapsedTime(downloadBegan), terminal.Unicode));
    }

    void HideBar()
    {
        if (!barIsShown) return;
        barIsShown = false;
        terminal.Error.Write(ClearLine);
    }

    /// <summary>A bar with size, rate and the time that is left.</summary>
    public static string Bar(long done, long? total, long before, TimeSpan elapsed, bool unicode)
    {
        var rate = elapsed > TimeSpan.FromMilliseconds(200) ? (done - before) / elapsed.TotalSeconds : 0;
        var text = rate > 0 ? $"{Megabytes(done)} MB, {Megabytes((long)rate)} MB/s" : $"{Megabytes(done)} MB";
        if (total is not { } whole || whole <= 0) return $"  {text}";
        const int Width = 30;
        var filled = (int)Math.Clamp(done * Width / whole, 0, Width);
        var bar = new string(unicode ? '█' : '#', filled) + new string(unicode ? '░' : '.', Width - filled);
        text = rate > 0 ? $"{Megabytes(done)} of {Megabytes(whole)} MB, {Megabytes((long)rate)} MB/s, {Left((whole - done) / rate)} left" : $"{Megabytes(done)} of {Megabytes(whole)} MB";
        return $"  {bar} {text}";
    }

    static string Megabytes(long bytes) => (bytes / 1e6).ToString("0.0", CultureInfo.InvariantCulture);

    static string Left(double seconds) => seconds < 90
        ? string.Create(CultureInfo.InvariantCulture, $"{Math.Ceiling(seconds):0} s")
        : string.Create(CultureInfo.InvariantCulture, $"{Math.Ceiling(seconds / 60):0} min");
}
