using Stigmer.Runtime.Control;

namespace Stigmer.Runtime.Temporal;

/// <summary>Turns the news of an installation into what is told to whoever waits: of a download a line at its beginning, and then at most ten a second.</summary>
/// <param name="tell">Is told.</param>
/// <param name="begins">Called before the first line about a download.</param>
/// <param name="clock">Stands still as long as it takes; whoever gave it lets it go on.</param>
/// <param name="time">The clock for the ten a second.</param>
sealed class Installing(Action<ControlReply> tell, TimeProvider time, Action? begins = null, StartClock? clock = null) : IProgress<InstallNews>
{
    long last;
    bool begun;

    public void Report(InstallNews value)
    {
        clock?.Stop();
        switch (value)
        {
            case InstallNews.Waiting:
                tell(new ControlReply { Type = ControlReply.Note, Text = InstallNews.Waiting.Text });
                break;
            case InstallNews.Retrying retrying:
                tell(new ControlReply { Type = ControlReply.Note, Text = retrying.Text });
                break;
            case InstallNews.Downloading news:
                if (begun && time.GetElapsedTime(last) < TimeSpan.FromMilliseconds(100) && news.Bytes != news.Total) return;
                if (!begun) begins?.Invoke();
                (begun, last) = (true, time.GetTimestamp());
                tell(new ControlReply { Type = ControlReply.Download, Text = news.Text, Done = news.Bytes, Total = news.Total });
                break;
        }
    }
}
