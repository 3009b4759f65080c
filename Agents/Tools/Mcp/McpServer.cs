using System.Globalization;
using System.Text.Json;
using Stigmer.Processes;
using Stigmer.Rpc.V1;

namespace Stigmer.Agents.Tools.Mcp;

/// <summary>One MCP server of one run: started when it is first needed, and again where it has died.</summary>
/// <param name="spec">The run.</param>
/// <param name="server">The server, as the agent's file has it.</param>
/// <param name="environment">What <c>${NAME}</c> is filled from.</param>
sealed class McpServer(RunSpec spec, Rpc.V1.McpServer server, Func<string, string?> environment, ToolProcesses processes, Log log, TimeProvider time) : IAsyncDisposable
{
    /// <summary>How long a server may take to start: npx downloads it first.</summary>
    static readonly TimeSpan StartTime = TimeSpan.FromMinutes(2);

    /// <summary>How long it may take to list its tools.</summary>
    static readonly TimeSpan ListTime = TimeSpan.FromSeconds(30);

    /// <summary>How long a call may take; a run may set itself less.</summary>
    static readonly TimeSpan CallTime = TimeSpan.FromMinutes(10);

    readonly SemaphoreSlim opening = new(1);
    Connection? connection;
    bool ended;

    /// <summary>The names that stand as <c>${NAME}</c> in what the file says of the server, and that are not set.</summary>
    public static IReadOnlyList<string> Missing(Rpc.V1.McpServer server, Func<string, string?> environment)
    {
        var placeholders = new Placeholders(environment);
        foreach (var text in (IEnumerable<string>)[server.Url, .. server.Args, .. server.Env.Values, .. server.Headers.Values]) placeholders.Fill(text);
        return placeholders.Missing;
    }

    /// <summary>Its tools as they are now. Fails with <see cref="Failure"/>.</summary>
    public async Task<IReadOnlyList<McpTool>> Tools(CancellationToken cancel)
    {
        var open = await Open(cancel);
        try
        {
            return await List(open, cancel);
        }
        catch (Exception e) when (e is McpException or TimeoutException)
        {
            throw new Failure($"The MCP server {server.Name} does not list its tools", open.Hide(open.IsAlive ? e.Message : await Lost(open)), null, ExitCode.Failed, e);
        }
    }

    /// <summary>Calls a tool. Every error but cancellation is an outcome that the model reads.</summary>
    /// <param name="tool">Its name, as the server knows it.</param>
    /// <param name="arguments">As the model wrote them.</param>
    public async Task<ToolOutcome> Call(string tool, string arguments, CancellationToken cancel)
    {
        Connection open;
        JsonElement given;
        try
        {
            given = ToolArguments.Parse(arguments).Root;
            open = await Open(cancel);
        }
        catch (Refused e)
        {
            return new ToolOutcome(false, e.Message);
        }
        catch (Failure e)
        {
            return new ToolOutcome(false, e.Remedy is null ? e.Message : $"{e.Message}. {e.Remedy}");
        }
        var forgotten = processes.HasForgotten(spec.RunId, server.Name)
            ? $"(The server {server.Name} was started anew since it was last called: what it kept in memory is gone.)\n" : "";
        if (open.Process is not null) processes.Called(spec.RunId, server.Name);
        var sessions = open.Client.Sessions;
        var outcome = await Call(open, tool, given, cancel);
        if (open.Client.Sessions != sessions) forgotten += $"(The server {server.Name} had forgotten the session, and a new one was begun: what it kept for it may be gone.)\n";
        return outcome with { Text = $"{forgotten}{outcome.Text}{await Changes(open, cancel)}" };
    }

    async Task<IReadOnlyList<McpTool>> List(Connection open, CancellationToken cancel)
    {
        open.Changed = false;
        var tools = await Within(ListTime, open.Client.ListTools, cancel);
        open.Names = tools.Select(tool => tool.Name).ToHashSet(StringComparer.Ordinal);
        return tools;
    }

    /// <summary>Which tools have come and gone since they were last listed, where the server has said that they did: many say so of none.</summary>
    async Task<string> Changes(Connection open, CancellationToken cancel)
    {
        if (!open.Changed || open.Names is not { } before) return "";
        try
        {
            var now = (await List(open, cancel)).Select(tool => tool.Name).ToHashSet(StringComparer.Ordinal);
            string Named(IEnumerable<string> names) => string.Join(", ", names.Select(name => $"{server.Name}.{name}"));
            var text = "";
            if (now.Except(before).ToList() is { Count: > 0 } more) text += $"\n(The server {server.Name} has more tools now, which the next turn is offered: {Named(more)})";
            if (before.Except(now).ToList() is { Count: > 0 } less) text += $"\n(The server {server.Name} no longer has: {Named(less)})";
            return text;
        }
        catch (Exception e) when (e is McpException or TimeoutException)
        {
            // The result is in hand; what else is wrong is seen by the next call.
            log.Debug("an MCP server's tools could not be listed again", ("server", server.Name), ("why", e.Message));
            return "";
        }
    }

    async Task<ToolOutcome> Call(Connection open, string tool, JsonElement arguments, CancellationToken cancel)
    {
        try
        {
            return McpContent.ToOutcome(await Within(CallTime, stop => open.Client.CallTool(tool, arguments, stop), cancel));
        }
        catch (McpException e) when (e.Code != 0 || open.IsAlive)
        {
            return new ToolOutcome(false, McpContent.Bounded(open.Hide(e.Message)));
        }
        catch (McpException)
        {
            return new ToolOutcome(
                false, $"The server {server.Name} was lost during this call, and whether it took effect is unknown: {open.Hide(await Lost(open))}\nThe next call starts it anew.");
        }
        catch (TimeoutException e)
        {
            return new ToolOutcome(false, $"The server {server.Name} did not answer: {e.Message}; the call was cancelled");
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await opening.WaitAsync();
        try
        {
            ended = true;
            await Close();
        }
        finally
        {
            opening.Release();
        }
    }

    /// <summary>The connection there is, or a new one. Fails with <see cref="Failure"/>.</summary>
    async Task<Connection> Open(CancellationToken cancel)
    {
        await opening.WaitAsync(cancel);
        try
        {
            if (connection is { IsAlive: true }) return connection;
            if (ended) throw new Failure($"The MCP server {server.Name} is not there", "the run's servers have been ended");
            await Close();
            processes.Restarted(spec.RunId, server.Name);
            return connection = await Within(StartTime, Connect, cancel);
        }
        catch (TimeoutException e)
        {
            throw new Failure($"The MCP server {server.Name} did not start", e.Message, null, ExitCode.Failed, e);
        }
        finally
        {
            opening.Release();
        }
    }

    async Task<Connection> Connect(CancellationToken cancel)
    {
        var placeholders = new Placeholders(environment);
        var url = placeholders.Fill(server.Url);
        List<string> arguments = [.. server.Args.Select(placeholders.Fill)];
        var own = server.Env.ToDictionary(each => each.Key, each => placeholders.Fill(each.Value), StringComparer.Ordinal);
        var headers = server.Headers.ToDictionary(each => each.Key, each => placeholders.Fill(each.Value), StringComparer.OrdinalIgnoreCase);
        if (placeholders.Missing.Count > 0) throw NotSet(server.Name, placeholders.Missing);
        try
        {
            if (url.Length > 0) return Watched(new Connection(await McpClient.OverHttp(Address(url, placeholders), headers, null, log, time, cancel), null, null, placeholders.Hide));
            return Watched(await Start(arguments, own, placeholders, cancel));
        }
        catch (McpException e)
        {
            throw new Failure($"The MCP server {server.Name} did not start", placeholders.Hide(e.Message), null, ExitCode.Failed, e);
        }
    }

    static Connection Watched(Connection open)
    {
        open.Client.ToolsChanged = () => open.Changed = true;
        return open;
    }

    Uri Address(string url, Placeholders placeholders) =>
        Uri.TryCreate(url, UriKind.Absolute, out var endpoint) && endpoint.Scheme is "http" or "https"
            ? endpoint : throw new Failure($"The MCP server {server.Name} has no address", $"{placeholders.Hide(url)} is no http or https URL");

    async Task<Connection> Start(IReadOnlyList<string> arguments, Dictionary<string, string> own, Placeholders placeholders, CancellationToken cancel)
    {
        var all = Basic();
        foreach (var (name, value) in own) all[name] = value;
        var started = GuardedProcess.Start(new ChildSpec
        {
            Path = Find(server.Command, all.GetValueOrDefault("PATH") ?? ""),
            Arguments = arguments,
            Environment = all,
            WorkingDirectory = spec.Workspace,
            PipeInput = true,
            SeparateError = true,
        });
        var note = processes.Note(started, spec.RunId, server.Name);
        var process = new McpProcess(server.Name, started, placeholders.Hide, log, time);
        try
        {
            return new Connection(await McpClient.OverStreams(process.ToServer, process.FromServer, log, cancel), process, note, placeholders.Hide);
        }
        catch (Exception e)
        {
            var last = e is McpException { Code: 0 } ? await process.LastWords() : null;
            await process.DisposeAsync();
            note.Dispose();
            if (last is not null) throw new McpException($"{e.Message}: {last}", inner: e);
            throw;
        }
    }

    /// <summary>What a server needs to be found and to find its own; on Windows no program starts with less than the rest.</summary>
    Dictionary<string, string> Basic()
    {
        var basic = new Dictionary<string, string>(OperatingSystem.IsWindows() ? StringComparer.OrdinalIgnoreCase : StringComparer.Ordinal);
        string[] names = OperatingSystem.IsWindows() ? ["PATH", "HOME", "USERPROFILE", "SYSTEMROOT", "TEMP", "TMP", "COMSPEC", "PATHEXT", "APPDATA", "LOCALAPPDATA"] : ["PATH", "HOME"];
        foreach (var name in names)
        {
            if (environment(name) is { } value) basic[name] = value;
        }
        return basic;
    }

    string Find(string command, string path)
    {
        if (command.AsSpan().IndexOfAny('/', Path.DirectorySeparatorChar) >= 0) return Path.GetFullPath(command, spec.Workspace);
        string[] endings = OperatingSystem.IsWindows() && !Path.HasExtension(command) ? [".exe", ".cmd", ".bat"] : [""];
        foreach (var folder in path.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries))
        {
            foreach (var ending in endings)
            {
                var file = Path.Combine(spec.Workspace, folder, command + ending);
                if (File.Exists(file)) return file;
            }
        }
        throw new Failure($"The MCP server {server.Name} cannot be started", $"there is no {command} on the PATH: {path}", $"Install {command}, or name it by its whole path in the agent's file");
    }

    /// <summary>What names the variables and the remedy.</summary>
    public static Failure NotSet(string server, IReadOnlyList<string> names) => new(
        $"{string.Join(" and ", names)} {(names.Count == 1 ? "is" : "are")} not set",
        $"the MCP server {server} needs {(names.Count == 1 ? "it" : "them")}, and a server's variables are those of the shell in which the stack was started",
        $"Set {string.Join(" and ", names)} there, and run: stigmer local restart");

    /// <summary>How a server that has ended did so.</summary>
    static async Task<string> Lost(Connection open) => open.Process is { } process ? await process.LastWords() : "the connection is over";

    /// <summary>Ends the connection there is, and its process.</summary>
    async Task Close()
    {
        var closing = connection;
        connection = null;
        if (closing is null) return;
        // First the process: what it still writes ends with it.
        if (closing.Process is not null) await closing.Process.DisposeAsync();
        await closing.Client.DisposeAsync();
        closing.Note?.Dispose();
    }

    async Task<T> Within<T>(TimeSpan limit, Func<CancellationToken, Task<T>> work, CancellationToken cancel)
    {
        using var over = new CancellationTokenSource(limit, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(over.Token, cancel);
        try
        {
            return await work(either.Token);
        }
        catch (OperationCanceledException) when (over.IsCancellationRequested && !cancel.IsCancellationRequested)
        {
            throw new TimeoutException(string.Create(CultureInfo.InvariantCulture, $"nothing came within {limit.TotalSeconds:0} s"));
        }
    }

    /// <summary>A server that is spoken with.</summary>
    /// <param name="process">Null: it is not ours, over HTTP.</param>
    /// <param name="note">Where the process is noted.</param>
    /// <param name="hide">Takes secrets out of a text.</param>
    sealed class Connection(McpClient client, McpProcess? process, IDisposable? note, Func<string, string> hide)
    {
        public McpClient Client => client;

        public McpProcess? Process => process;

        public IDisposable? Note => note;

        public Func<string, string> Hide => hide;

        public bool IsAlive => !client.Ended.IsCompleted;

        /// <summary>It has said that its tools are others now, or has begun anew.</summary>
        public bool Changed { get; set; }

        /// <summary>Its tools when they were last listed; null: they were not.</summary>
        public IReadOnlySet<string>? Names { get; set; }
    }
}
