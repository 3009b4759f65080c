using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Win32.SafeHandles;

namespace Stigmer.Processes;

/// <summary>
/// A role's side of the pipe on which it reports to its supervisor, in sd_notify's manner: lines KEY=VALUE. Without a
/// supervisor every method does nothing.
/// </summary>
sealed class Notify
{
    /// <summary>The environment variable that names the pipe: its descriptor (on Windows its handle).</summary>
    public const string Variable = "STIGMER_NOTIFY_FD";

    /// <summary>How often a role says that it lives.</summary>
    public static readonly TimeSpan Beat = TimeSpan.FromSeconds(5);

    readonly CancellationTokenSource supervisorGone = new();
    readonly Lock gate = new();
    readonly FileStream? pipe;
    readonly ITimer? beats;

    Notify(FileStream? pipe, TimeProvider time, bool supervised)
    {
        this.pipe = pipe;
        if (pipe is null || !supervised) return;
        beats = time.CreateTimer(_ => Send("BEAT=1\n"), null, Beat, Beat);
        new Thread(WatchInput, 256 * 1024) { IsBackground = true, Name = "supervisor" }.Start();
    }

    /// <summary>Cancelled when the supervisor has died: the role then ends at once. Never where there is none.</summary>
    public CancellationToken SupervisorGone => supervisorGone.Token;

    /// <summary>There is somebody to report to.</summary>
    public bool IsSupervised => pipe is not null;

    /// <summary>
    /// For a role, at its start: takes the pipe that the environment names, begins to beat, and watches standard input, whose
    /// end tells that the supervisor died (on Linux the kernel kills us then as well).
    /// </summary>
    public static Notify FromEnvironment(Func<string, string?> environment, TimeProvider time) => Take(environment, time, supervised: true);

    /// <summary>The same for a process that reports to its starter and outlives it: it does not beat, and its standard input is left alone.</summary>
    public static Notify ToStarter(Func<string, string?> environment, TimeProvider time) => Take(environment, time, supervised: false);

    /// <summary>Says that the role serves; with the port that it really has, where it listens.</summary>
    public Task Ready(int? port = null)
    {
        Send(port is { } known ? string.Create(CultureInfo.InvariantCulture, $"PORT={known}\nREADY=1\n") : "READY=1\n");
        return Task.CompletedTask;
    }

    /// <summary>Says the port as soon as it is known, before the role serves on it.</summary>
    public void Port(int port) => Send(string.Create(CultureInfo.InvariantCulture, $"PORT={port}\n"));

    /// <summary>Says in a few words what the role is doing.</summary>
    public void Status(string text) => Send($"STATUS={text.ReplaceLineEndings(" ")}\n");

    /// <summary>Says why the role cannot start or go on; it ends after this.</summary>
    public void Failed(Failure failure) => Send(
        "FAILED=" + JsonSerializer.Serialize(FailureDocument.From(failure), NotifyJson.Default.FailureDocument) + "\n");

    /// <summary>Ends the reporting: whoever listens sees the pipe's end.</summary>
    public void Close()
    {
        beats?.Dispose();
        lock (gate) pipe?.Dispose();
    }

    static Notify Take(Func<string, string?> environment, TimeProvider time, bool supervised)
    {
        if (!long.TryParse(environment(Variable), NumberStyles.None, CultureInfo.InvariantCulture, out var descriptor)) return new Notify(null, time, false);
        // Neither the variable nor the pipe is for those whom we start.
        Environment.SetEnvironmentVariable(Variable, null);
        if (OperatingSystem.IsLinux()) _ = Libc.fcntl((int)descriptor, Libc.F_SETFD_LINUX, Libc.FD_CLOEXEC);
        try
        {
            var pipe = new FileStream(new SafeFileHandle((nint)descriptor, ownsHandle: true), FileAccess.Write, bufferSize: 0);
            return new Notify(pipe, time, supervised);
        }
        catch (Exception e) when (e is IOException or ArgumentException or UnauthorizedAccessException)
        {
            return new Notify(null, time, false); // A variable that was inherited by mistake names no pipe: nobody supervises us.
        }
    }

    void Send(string lines)
    {
        lock (gate)
        {
            try
            {
                pipe?.Write(Encoding.UTF8.GetBytes(lines));
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException)
            {
                // Nobody reads any more: the supervisor is gone, which standard input tells.
            }
        }
    }

    void WatchInput()
    {
        // The death signal belongs to the thread that asks for it: this one stays.
        if (OperatingSystem.IsLinux()) _ = Libc.prctl(Libc.PR_SET_PDEATHSIG, Libc.SIGKILL, 0, 0, 0);
        try
        {
            using var input = Console.OpenStandardInput();
            Span<byte> ignored = stackalloc byte[64];
            while (input.Read(ignored) > 0)
            {
            }
        }
        catch (IOException)
        {
            // As good as its end.
        }
        supervisorGone.Cancel();
    }
}

/// <summary>What a supervised process reported.</summary>
abstract record Notification
{
    Notification()
    {
    }

    /// <summary>It listens on this port.</summary>
    public sealed record Port(int Number) : Notification;

    /// <summary>It serves.</summary>
    public sealed record Ready : Notification;

    /// <summary>It lives.</summary>
    public sealed record Beat : Notification;

    /// <summary>What it is doing, in a few words.</summary>
    public sealed record Status(string Text) : Notification;

    /// <summary>Why it cannot start or go on.</summary>
    public sealed record Failed(Failure Failure) : Notification;

    /// <summary>Reads one line; null for one that this version does not know.</summary>
    public static Notification? Parse(string line)
    {
        var equals = line.IndexOf('=');
        if (equals < 0) return null;
        var value = line[(equals + 1)..];
        return line[..equals] switch
        {
            "PORT" when int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port is > 0 and <= 65535 => new Port(port),
            "READY" => new Ready(),
            "BEAT" => new Beat(),
            "STATUS" => new Status(value),
            "FAILED" => new Failed(ParseFailure(value)),
            _ => null,
        };
    }

    /// <summary>Reads a child's notifications until the pipe ends, on the calling thread.</summary>
    public static void ReadAll(Stream pipe, Action<Notification> each)
    {
        try
        {
            using var reader = new StreamReader(pipe, Encoding.UTF8, false, 512);
            while (reader.ReadLine() is { } line)
            {
                if (Parse(line) is { } notification) each(notification);
            }
        }
        catch (IOException)
        {
            // As good as its end.
        }
    }

    static Failure ParseFailure(string json)
    {
        try
        {
            return JsonSerializer.Deserialize(json, NotifyJson.Default.FailureDocument)?.ToFailure() ?? new Failure(json);
        }
        catch (JsonException)
        {
            return new Failure(json);
        }
    }
}

/// <summary>A <see cref="Failure"/> on its way between two processes.</summary>
sealed record FailureDocument(string What, string? Why, string? Remedy, int ExitCode)
{
    /// <summary>The parts that another process can show; what was caught stays in this one's log.</summary>
    public static FailureDocument From(Failure failure) => new(failure.What, failure.Why, failure.Remedy, failure.ExitCode);

    /// <summary>The failure again, to be thrown where somebody reads it.</summary>
    public Failure ToFailure() => new(What, Why, Remedy, ExitCode);
}

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(FailureDocument))]
sealed partial class NotifyJson : JsonSerializerContext;
