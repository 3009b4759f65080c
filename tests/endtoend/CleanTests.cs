using Stigmer.EndToEnd.Harness;

namespace Stigmer.EndToEnd;

public sealed class CleanTests
{
    [Fact]
    public async Task Nothing_is_removed_without_a_selection_without_a_yes_or_while_the_stack_runs()
    {
        await using var stack = await Stack.Start();
        (await stack.Run("run", "--detach", "Hi")).Exits(0);
        var listed = (await stack.Run("local", "clean")).Exits(2);
        foreach (var flag in (string[])["--temporal", "--data", "--logs", "--bin"]) Assert.Matches($@"(?m)^\s+{flag} +[0-9.]+ [kM]?B  ", listed.Error);
        Assert.Contains("--yes", (await stack.Run("local", "clean", "--all")).Exits(2).Error, StringComparison.Ordinal);
        Assert.StartsWith("✗ The stack is running", (await stack.Run("local", "clean", "--all", "--yes")).Exits(1).Error, StringComparison.Ordinal);
        (await stack.Run("local", "stop")).Exits(0);
        (await stack.Run("local")).Exits(0);
        Assert.Single((await stack.Run("runs", "list", "--json")).Exits(0).Json.GetProperty("runs").EnumerateArray());
    }

    [Fact]
    public async Task All_of_it_leaves_the_configuration_what_is_not_ours_and_a_home_that_starts_afresh()
    {
        await using var stack = await Stack.Start();
        (await stack.Run("run", "Hi")).Exits(0);
        (await stack.Run("local", "stop")).Exits(0);
        foreach (var file in (string[])["data/notes.txt", "logs/mine.log", "mine.txt"]) File.WriteAllText(Path.Combine(stack.Home, file), "mine");
        var removed = (await stack.Run("local", "clean", "--all", "--yes", "--json")).Exits(0).Json;
        Assert.Equal(["data", "logs", "run"], removed.GetProperty("removed").EnumerateArray().Select(item => item.GetProperty("part").GetString()).Distinct().Order());
        Assert.True(removed.GetProperty("bytes").GetInt64() > 0);
        // Locks stay: of two files of one name two processes could hold one each.
        Assert.Equal(
            ["config.yaml", "data/notes.txt", "data/stigmer.lock", "logs/mine.log", "mine.txt", "run/daemon.lock", "run/tools.lock"],
            Directory.GetFiles(stack.Home, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(stack.Home, file)).Order(StringComparer.Ordinal));
        Assert.Equal("There is nothing to remove\n", (await stack.Run("local", "clean", "--all", "--yes")).Exits(0).Out);
        (await stack.Run("local")).Exits(0);
        Assert.Empty((await stack.Run("runs", "list", "--json")).Exits(0).Json.GetProperty("runs").EnumerateArray());
    }

    [Fact]
    public async Task Only_what_is_older_goes_a_database_by_its_last_use()
    {
        await using var stack = Stack.Create();
        var folder = Directory.CreateDirectory(Path.Combine(stack.Home, "temporal-data")).FullName;
        var logs = Directory.CreateDirectory(Path.Combine(stack.Home, "logs")).FullName;
        var bin = Directory.CreateDirectory(Path.Combine(stack.Home, "bin")).FullName;
        Make("temporal-1.31.1.db", 10);
        Make("temporal-1.31.1.db-wal", 9);
        Make("temporal-1.31.1.json", 1);
        Make("temporal-1.31.2.db", 10);
        Make("temporal-1.31.2.db-wal", 1);
        Make(Path.Combine(logs, "daemon.log.1"), 10);
        Make(Path.Combine(bin, "temporal"), 10);
        void Make(string file, int days)
        {
            var path = Path.Combine(folder, file);
            File.WriteAllText(path, "x");
            File.SetLastWriteTimeUtc(path, DateTime.UtcNow.AddDays(-days));
        }

        Assert.Equal("✓ Removed 3 B\n", (await stack.Run("local", "clean", "--temporal", "--older-than", "7d", "--yes")).Exits(0).Out);
        Assert.Equal(["temporal-1.31.2.db", "temporal-1.31.2.db-wal"], Directory.GetFiles(folder).Select(Path.GetFileName).Order());
        Assert.Equal("✓ Removed 1 B\n", (await stack.Run("local", "clean", "--all", "--older-than", "7d", "--yes")).Exits(0).Out);
        Assert.True(File.Exists(Path.Combine(bin, "temporal")));
        Assert.False(Directory.Exists(logs));
        (await stack.Run("local", "clean", "--temporal", "--bin", "--yes")).Exits(0);
        Assert.False(Directory.Exists(folder) || Directory.Exists(bin));
    }
}
