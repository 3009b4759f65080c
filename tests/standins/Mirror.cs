using System.Collections.Concurrent;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace Stigmer.Standins;

/// <summary>
/// What a mirror does to the archives it serves; checksums.txt is always right, but for Missing. Reset and Stall come always at
/// the middle of the archive, wherever an answer begins.
/// </summary>
public enum MirrorFault
{
    None,
    WrongHash,
    HtmlPage,
    Missing,
    Error,
    ErrorOnce,
    Silent,
    Stall,
    Reset,
    ResetOnce,
    Redirect,
    RedirectLoop,
}

/// <summary>Serves v{V}/{asset} and v{V}/checksums.txt from a folder, on plain HTTP, well or badly.</summary>
sealed class Mirror : IAsyncDisposable
{
    readonly string folder;
    readonly CancellationTokenSource ending = new();
    readonly TaskCompletionSource archiveAsked = new(TaskCreationOptions.RunContinuationsAsynchronously);
    WebApplication? app;
    int broken;

    Mirror(string folder, MirrorFault fault) => (this.folder, Fault) = (folder, fault);

    /// <summary>The paths asked for, in order.</summary>
    public ConcurrentQueue<string> Requests { get; } = new();

    /// <summary>The ranges asked for, in order.</summary>
    public ConcurrentQueue<string> Ranges { get; } = new();

    /// <summary>May be changed at any time.</summary>
    public MirrorFault Fault { get; set; }

    /// <summary>For STIGMER_TEMPORAL_MIRROR.</summary>
    public string Url => app!.Urls.Single();

    /// <summary>Completes when an archive has been asked for.</summary>
    public Task ArchiveAsked => archiveAsked.Task;

    /// <summary><c>mirror FOLDER [FAULT] [PORT]</c>: prints URL=…, then GET … for each request; ends with its standard input.</summary>
    public static async Task<int> Run(IReadOnlyList<string> arguments)
    {
        var fault = arguments.Count > 1 ? Enum.Parse<MirrorFault>(arguments[1], ignoreCase: true) : MirrorFault.None;
        await using var mirror = await Start(arguments[0], fault, arguments.Count > 2 ? int.Parse(arguments[2]) : 0, path => Console.WriteLine($"GET {path}"));
        Console.WriteLine($"URL={mirror.Url}");
        while (await Console.In.ReadLineAsync() is not null)
        {
        }
        return 0;
    }

    public static async Task<Mirror> Start(string folder, MirrorFault fault = MirrorFault.None, int port = 0, Action<string>? asked = null, HttpsConnectionAdapterOptions? tls = null)
    {
        var mirror = new Mirror(folder, fault);
        mirror.app = await Loopback.Http(
            app => app.Run(context =>
            {
                asked?.Invoke(context.Request.Path);
                mirror.Requests.Enqueue(context.Request.Path);
                if (context.Request.Headers.Range.ToString() is { Length: > 0 } range) mirror.Ranges.Enqueue(range);
                return mirror.Answer(context);
            }),
            port,
            tls);
        return mirror;
    }

    public async ValueTask DisposeAsync()
    {
        await ending.CancelAsync();
        await app!.DisposeAsync();
        ending.Dispose();
    }

    async Task Answer(HttpContext context)
    {
        var path = context.Request.Path.Value!;
        var file = Path.GetFullPath(Path.Combine(folder, path.Replace("/moved/", "/", StringComparison.Ordinal).TrimStart('/')));
        var isArchive = path.EndsWith(".tar.gz", StringComparison.Ordinal);
        if (isArchive) archiveAsked.TrySetResult();
        var fault = isArchive || Fault is MirrorFault.Missing ? Fault : MirrorFault.None;
        if (fault is MirrorFault.ErrorOnce or MirrorFault.ResetOnce && Interlocked.Exchange(ref broken, 1) == 1) fault = MirrorFault.None;
        if (fault is MirrorFault.Redirect && path.StartsWith("/moved/", StringComparison.Ordinal)) fault = MirrorFault.None;
        if (fault is MirrorFault.Missing || !file.StartsWith(Path.GetFullPath(folder), StringComparison.Ordinal) || !File.Exists(file))
        {
            context.Response.StatusCode = 404;
            return;
        }
        if (fault is MirrorFault.None or MirrorFault.Redirect or MirrorFault.RedirectLoop or MirrorFault.Error or MirrorFault.ErrorOnce or MirrorFault.HtmlPage or MirrorFault.Silent)
        {
            await Short(context, fault, path, file);
            return;
        }
        var bytes = await File.ReadAllBytesAsync(file);
        if (fault is MirrorFault.WrongHash) bytes[^1] ^= 1;
        await Send(context, file, bytes, fault is MirrorFault.WrongHash ? bytes.Length : bytes.Length / 2);
        await context.Response.Body.FlushAsync();
        if (fault is MirrorFault.WrongHash) return;
        if (fault is MirrorFault.Stall) await Forever(context);
        context.Features.GetRequiredFeature<IHttpRequestLifetimeFeature>().Abort();
    }

    /// <summary>The answers that need not hold the file in memory.</summary>
    async Task Short(HttpContext context, MirrorFault fault, string path, string file)
    {
        switch (fault)
        {
            case MirrorFault.Error or MirrorFault.ErrorOnce:
                context.Response.StatusCode = 503;
                break;
            case MirrorFault.HtmlPage:
                context.Response.ContentType = "text/html";
                await context.Response.WriteAsync("<!DOCTYPE html><title>Sign in</title>");
                break;
            case MirrorFault.Silent:
                await Forever(context);
                break;
            case MirrorFault.Redirect:
                context.Response.Redirect("/moved" + path);
                break;
            case MirrorFault.RedirectLoop:
                context.Response.Redirect(path + "?again");
                break;
            default:
                await Send(context, file, null, (int)new FileInfo(file).Length);
                break;
        }
    }

    /// <summary>The file, or other bytes in its place, up to a bound and from where the request's range begins, if it names these very bytes.</summary>
    static async Task Send(HttpContext context, string file, byte[]? bytes, int end)
    {
        var about = new FileInfo(file);
        var tag = $"\"{about.Length:x}-{about.LastWriteTimeUtc.Ticks:x}\"";
        context.Response.Headers.ETag = tag;
        context.Response.Headers.AcceptRanges = "bytes";
        var from = 0;
        if (context.Request.Headers.Range.ToString() is ['b', 'y', 't', 'e', 's', '=', .. var range] && context.Request.Headers.IfRange == tag)
        {
            from = int.Parse(range.TrimEnd('-'));
            context.Response.StatusCode = 206;
            context.Response.Headers.ContentRange = $"bytes {from}-{about.Length - 1}/{about.Length}";
        }
        context.Response.ContentLength = about.Length - from;
        if (from >= end) await context.Response.StartAsync();
        else if (bytes is null) await context.Response.SendFileAsync(file, from, end - from);
        else await context.Response.Body.WriteAsync(bytes.AsMemory(from, end - from));
    }

    async Task Forever(HttpContext context)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(ending.Token, context.RequestAborted);
        await Task.Delay(Timeout.Infinite, end.Token).ContinueWith(_ => { }, TaskScheduler.Default);
    }
}
