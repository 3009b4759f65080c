Console.WriteLine("stigmer");
return 0;
