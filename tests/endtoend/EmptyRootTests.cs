using System.Diagnostics;
using Stigmer.EndToEnd.Harness;

namespace Stigmer.EndToEnd;

/// <summary>A first run where there is nothing but the executable and what it says it needs: root, chroot and mknod make such a place.</summary>
public sealed class EmptyRootTests : IDisposable
{
    readonly string root = Directory.CreateTempSubdirectory("stg-root-").FullName;

    public void Dispose() => Directory.Delete(root, recursive: true);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_whole_first_run_needs_no_more_than_is_listed(bool withProc)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root");
        Assert.SkipWhen(File.Exists(Path.ChangeExtension(Running.Executable, "dll")), "needs the native executable");
        foreach (var folder in (string[])["dev", "etc", "tmp", "home", "proc"]) Directory.CreateDirectory(Path.Combine(root, folder));
        File.Copy(Running.Executable, Path.Combine(root, "stigmer"));
        foreach (var library in await Libraries())
        {
            var copy = Path.Join(root, library);
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(library, copy, overwrite: true);
        }
        foreach (var file in (string[])["/etc/hosts", "/etc/resolv.conf"]) if (File.Exists(file)) File.Copy(file, Path.Join(root, file));
        await Tool("mknod", Path.Join(root, "dev/null"), "c", "1", "3");
        await Tool("mknod", Path.Join(root, "dev/urandom"), "c", "1", "9");
        if (withProc) await Tool("mount", "-t", "proc", "proc", Path.Join(root, "proc"));
        try
        {
            Assert.Contains("Ready!", (await Run("local", "--embedded")).Exits(0).Out, StringComparison.Ordinal);
            Assert.Contains("demo model", (await Run("run", "--provider", "demo", "Hi")).Exits(0).Out, StringComparison.Ordinal);
            (await Run("local", "status")).Exits(0);
        }
        finally
        {
            var stopped = await Run("local", "stop");
            var left = Inside();
            foreach (var pid in left) Running.Kill(pid, 9);
            if (withProc) await Tool("umount", Path.Join(root, "proc"));
            stopped.Exits(0);
            Assert.Empty(left);
        }
    }

    async Task<Result> Run(params string[] arguments)
    {
        var environment = new Dictionary<string, string> { ["HOME"] = "/home", ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin" };
        await using var running = Running.Start("/usr/sbin/chroot", [root, "/stigmer", .. arguments], environment, "/", Logs).Input("");
        return await running.End();
    }

    string Logs()
    {
        var folder = Path.Join(root, "home/.stigmer/logs");
        return Directory.Exists(folder) ? string.Join('\n', Directory.GetFiles(folder).Select(file => $"--- {Path.GetFileName(file)}\n{File.ReadAllText(file)}")) : "";
    }

    /// <summary>The processes whose root this is.</summary>
    List<int> Inside() =>
        [.. Directory.GetDirectories("/proc").Select(Path.GetFileName).Where(name => int.TryParse(name, out _)).Select(int.Parse!)
            .Where(pid => new FileInfo($"/proc/{pid}/root") is { Exists: true } link && link.LinkTarget == root)];

    /// <summary>What the loader would load.</summary>
    static async Task<IReadOnlyList<string>> Libraries()
    {
        using var ldd = Process.Start(new ProcessStartInfo("ldd", [Running.Executable]) { RedirectStandardOutput = true })!;
        var text = await ldd.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        var paths = text.Split('\n').Select(line => line.Split("=>")[^1].Trim().Split(' ')[0]).Where(path => path.StartsWith('/')).ToList();
        Assert.All(paths, path => Assert.Matches(@"/(libc|libm|ld-linux[-a-z0-9_]*|ld-musl[-a-z0-9_]*)\.so", path));
        return paths;
    }

    static async Task Tool(string program, params string[] arguments)
    {
        using var tool = Process.Start(program, arguments);
        await tool.WaitForExitAsync();
        Assert.Equal(0, tool.ExitCode);
    }
}
