using System.Globalization;
using System.Text;

namespace Stigmer;

/// <summary>
/// The log of one of our own components, one line an event:
/// <c>2026-01-19T08:00:00.123Z INFO  agent-runner  message key=value …</c>. A child writes to its standard error, which the
/// daemon reads; the daemon writes to its own file. Never give it a secret.
/// </summary>
sealed class Log(string component, TextWriter output, TimeProvider time, LogLevel minimum = LogLevel.Info)
{
    readonly Lock gate = new();

    /// <summary>The component whose lines these are.</summary>
    public string Component { get; } = component;

    /// <summary>What helps to understand a fault afterwards.</summary>
    public void Debug(string message, params ReadOnlySpan<(string Key, object? Value)> fields) => Write(LogLevel.Debug, message, fields);

    /// <summary>What an operator wants to see in ordinary days.</summary>
    public void Info(string message, params ReadOnlySpan<(string Key, object? Value)> fields) => Write(LogLevel.Info, message, fields);

    /// <summary>Something is not as it should be, and the component goes on.</summary>
    public void Warn(string message, params ReadOnlySpan<(string Key, object? Value)> fields) => Write(LogLevel.Warn, message, fields);

    /// <summary>Something failed.</summary>
    public void Error(string message, params ReadOnlySpan<(string Key, object? Value)> fields) => Write(LogLevel.Error, message, fields);

    /// <summary>How a line begins: time, level and component, up to where the message stands.</summary>
    public static string Prefix(DateTimeOffset time, LogLevel level, string component)
    {
        var name = level switch { LogLevel.Debug => "DEBUG", LogLevel.Info => "INFO ", LogLevel.Warn => "WARN ", _ => "ERROR" };
        return string.Create(CultureInfo.InvariantCulture, $"{time.UtcDateTime:yyyy-MM-dd'T'HH:mm:ss.fff'Z'} {name} {component}  ");
    }

    void Write(LogLevel level, string message, ReadOnlySpan<(string Key, object? Value)> fields)
    {
        if (level < minimum) return;
        var line = new StringBuilder(128);
        line.Append(Prefix(time.GetUtcNow(), level, Component)).Append(OneLine(message));
        foreach (var (key, value) in fields)
        {
            line.Append(' ').Append(key).Append('=').Append(Quoted(Convert.ToString(value, CultureInfo.InvariantCulture) ?? "null"));
        }
        line.Append('\n');
        lock (gate)
        {
            output.Write(line.ToString());
            output.Flush();
        }
    }

    static string OneLine(string text) => text.ReplaceLineEndings("\\n");

    static string Quoted(string value) =>
        value.Length > 0 && value.AsSpan().IndexOfAny(" \"=\r\n\t") < 0 ? value : $"\"{OneLine(value).Replace("\"", "\\\"", StringComparison.Ordinal)}\"";
}

/// <summary>How much a line of the log matters.</summary>
enum LogLevel { Debug, Info, Warn, Error }
