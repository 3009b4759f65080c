namespace Stigmer.Commands;

/// <summary>
/// The keys that were typed and not yet taken. They are read all the time, so that Ctrl-C is heard also while nobody asks for a
/// key; what is typed ahead waits for whoever asks next.
/// </summary>
sealed class KeyQueue : IAsyncDisposable
{
    readonly Keyboard keyboard;
    readonly CancellationTokenSource stop = new();
    readonly Lock gate = new();
    readonly SemaphoreSlim there = new(0);
    readonly Task pump;
    LinkedList<Key> keys = new();

    /// <summary>Begins to read.</summary>
    public KeyQueue(Keyboard keyboard)
    {
        this.keyboard = keyboard;
        keyboard.Disturbed = () => Put(new Key(KeyKind.Redraw));
        pump = Pump();
    }

    /// <summary>Takes Ctrl-C in place of the queue; null: it is a key like any other.</summary>
    public Action? Interrupted { get; set; }

    /// <summary>Called before Ctrl-Z suspends the process; a redraw follows when it goes on.</summary>
    public Action? Suspending { get; set; }

    /// <summary>Columns and rows.</summary>
    public (int Columns, int Rows) Size => keyboard.Size;

    /// <summary>The next key, when it is there.</summary>
    public async Task<Key> Next(CancellationToken cancel)
    {
        while (true)
        {
            await there.WaitAsync(cancel);
            lock (gate)
            {
                if (keys.First is not { } first) continue;
                // The end stays.
                if (first.Value.Kind == KeyKind.Closed) there.Release();
                else keys.RemoveFirst();
                return first.Value;
            }
        }
    }

    /// <summary>What was typed before something is asked is no answer to it: takes it out, to be put back afterwards.</summary>
    public LinkedList<Key> SetAside()
    {
        lock (gate)
        {
            if (keys.Last?.Value.Kind == KeyKind.Closed) return [];
            var aside = keys;
            keys = new LinkedList<Key>();
            return aside;
        }
    }

    /// <summary>Puts it back, before what has come since.</summary>
    public void PutBack(LinkedList<Key> aside)
    {
        lock (gate)
        {
            for (var key = aside.Last; key is not null; key = key.Previous) keys.AddFirst(key.Value);
            there.Release(aside.Count + 1);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await pump;
        keyboard.Dispose();
        stop.Dispose();
        there.Dispose();
    }

    async Task Pump()
    {
        var decoder = new KeyDecoder();
        var buffer = new byte[4096];
        try
        {
            while (await keyboard.Read(buffer, stop.Token) is > 0 and var count)
            {
                foreach (var key in decoder.Take(buffer.AsSpan(0, count))) Put(key);
            }
            Put(new Key(KeyKind.Closed));
        }
        catch (OperationCanceledException)
        {
            // Nobody asks for keys any more.
        }
        catch (IOException)
        {
            Put(new Key(KeyKind.Closed));
        }
    }

    void Put(Key key)
    {
        if (key.Kind == KeyKind.Suspend)
        {
            Suspending?.Invoke();
            keyboard.Suspend();
            return;
        }
        if (key.Kind == KeyKind.Interrupt && Interrupted is { } interrupted)
        {
            interrupted();
            return;
        }
        lock (gate)
        {
            // One is enough.
            if (key.Kind == KeyKind.Redraw && keys.Last?.Value.Kind == KeyKind.Redraw) return;
            keys.AddLast(key);
            there.Release();
        }
    }
}
