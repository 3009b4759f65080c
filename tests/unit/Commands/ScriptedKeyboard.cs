using System.Text;
using System.Threading.Channels;
using Stigmer.Commands;

namespace Stigmer.Tests.Commands;

/// <summary>A terminal's keys, typed by a test.</summary>
sealed class ScriptedKeyboard : Keyboard
{
    readonly Channel<byte[]> typed = Channel.CreateUnbounded<byte[]>();

    public bool IsOpen { get; private set; } = true;

    public override (int Columns, int Rows) Size => (40, 10);

    public ScriptedKeyboard Type(string keys)
    {
        typed.Writer.TryWrite(Encoding.UTF8.GetBytes(keys));
        return this;
    }

    public ScriptedKeyboard HangUp()
    {
        typed.Writer.Complete();
        return this;
    }

    public override async Task<int> Read(Memory<byte> buffer, CancellationToken cancel)
    {
        if (!await typed.Reader.WaitToReadAsync(cancel) || !typed.Reader.TryRead(out var bytes)) return 0;
        bytes.CopyTo(buffer);
        return bytes.Length;
    }

    public override void Suspend()
    {
    }

    public override void Dispose() => IsOpen = false;
}
